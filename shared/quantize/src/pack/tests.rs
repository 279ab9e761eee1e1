//! What networks take of RAM and flash, and what is said when a budget does not allow it.

use super::*;
use crate::random::resnet8;

fn packed(options: PackOptions) -> Result<Packed, PackError> {
    pack(&resnet8(3), &options)
}

#[test]
fn resnet8_takes_little_ram() {
    for family in Family::ALL {
        for (optimize, most) in
            [(Optimize::Speed, 50_000), (Optimize::Ram, 40_000), (Optimize::Flash, 50_000)]
        {
            for winograd in [Winograd::Auto, Winograd::Off] {
                let options = PackOptions { family, optimize, winograd, ..PackOptions::default() };
                let arena = packed(options).unwrap().arena_bytes;
                assert!(arena <= most, "{family} {optimize:?} {winograd:?}: {arena} bytes of arena");
            }
        }
    }
}

#[test]
fn a_tight_budget_takes_smaller_kernels() {
    let kernels =
        |packed: &Packed| packed.layers.iter().filter(|layer| layer.kernel == "dsp-winograd").count();
    let dsp = PackOptions { family: Family::Dsp, ..PackOptions::default() };
    let fast = packed(dsp.clone()).unwrap();
    let budget = fast.arena_bytes - 4;
    let small = packed(PackOptions { ram_budget: Some(budget), ..dsp.clone() }).unwrap();
    assert!(small.arena_bytes <= budget && kernels(&small) < kernels(&fast) && kernels(&small) > 0);
    // More than the last layer can give.
    let budget = fast.image.bytes().len() - 1000;
    let small = packed(PackOptions { flash_budget: Some(budget), ..dsp.clone() }).unwrap();
    assert!(small.image.bytes().len() <= budget && kernels(&small) < kernels(&fast) && kernels(&small) > 0);
    let least = packed(PackOptions { optimize: Optimize::Ram, ..dsp }).unwrap();
    assert!(least.arena_bytes < fast.arena_bytes, "{} bytes of arena", least.arena_bytes);
}

#[test]
fn winograd_is_a_choice() {
    let kernels = |options: PackOptions| -> Vec<_> {
        packed(options).unwrap().layers.iter().map(|layer| layer.kernel).collect()
    };
    let dsp = PackOptions { family: Family::Dsp, ..PackOptions::default() };
    assert_eq!(kernels(dsp.clone()).iter().filter(|&&kernel| kernel == "dsp-winograd").count(), 4);
    for options in [
        PackOptions { winograd: Winograd::Off, ..dsp.clone() },
        PackOptions { optimize: Optimize::Flash, ..dsp },
        PackOptions::default(),
    ] {
        assert!(!kernels(options.clone()).contains(&"dsp-winograd"), "{options:?}");
    }
}

#[test]
fn code_is_saved_by_fewer_kernels() {
    for family in Family::ALL {
        let options = PackOptions { family, optimize: Optimize::Flash, ..PackOptions::default() };
        let mut kernels: Vec<_> = packed(options).unwrap().layers.iter().map(|layer| layer.kernel).collect();
        kernels.sort_unstable();
        kernels.dedup();
        assert_eq!(kernels.len(), 3, "{family}: {kernels:?}");
    }
}

#[test]
fn a_budget_too_small_names_the_layer_and_the_missing_bytes() {
    let whole = packed(PackOptions::default()).unwrap();
    let least = |optimize| packed(PackOptions { optimize, ..PackOptions::default() }).unwrap();
    for family in Family::ALL {
        let options = PackOptions { family, ..PackOptions::default() };
        let least = packed(PackOptions { optimize: Optimize::Ram, ..options.clone() }).unwrap().arena_bytes;
        let message =
            packed(PackOptions { ram_budget: Some(10_000), ..options.clone() }).unwrap_err().to_string();
        let missing = format!("{} more than the budget of 10000", least - 10_000);
        assert!(message.contains(&missing), "{family}: {message}");
        // What the message says is enough.
        assert_eq!(packed(PackOptions { ram_budget: Some(least), ..options }).unwrap().arena_bytes, least);
    }
    let flash = PackOptions { flash_budget: Some(10_000), ..PackOptions::default() };
    let message = packed(flash).unwrap_err().to_string();
    assert!(
        message.contains(&format!(
            "{} more than the budget of 10000",
            least(Optimize::Flash).image.bytes().len() - 10_000
        )),
        "{message}"
    );
    // The second convolution of the last block has the most weights: 64 x 3 x 3 x 64.
    assert!(message.contains("`n10`"), "{message}");
    let exact = PackOptions {
        ram_budget: Some(whole.arena_bytes),
        flash_budget: Some(whole.image.bytes().len()),
        ..PackOptions::default()
    };
    assert_eq!(packed(exact).unwrap(), whole);
}
