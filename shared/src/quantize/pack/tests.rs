//! What networks take of RAM and flash, and what is said when a budget does not allow it.

use super::*;
use crate::quantize::random::resnet8;

fn packed(options: PackOptions) -> Result<Packed, PackError> {
    pack(&resnet8(3), &options)
}

#[test]
fn resnet8_takes_little_ram() {
    for family in Family::ALL {
        for (optimize, most) in
            [(Optimize::Speed, 50_000), (Optimize::Ram, 40_000), (Optimize::Flash, 50_000)]
        {
            let options = PackOptions { family, optimize, ..PackOptions::default() };
            let arena = packed(options).unwrap().arena_bytes;
            assert!(arena <= most, "{family} {optimize:?}: {arena} bytes of arena");
        }
    }
}

#[test]
fn a_budget_too_small_names_the_layer_and_the_missing_bytes() {
    let whole = packed(PackOptions::default()).unwrap();
    let ram = PackOptions { ram_budget: Some(10_000), ..PackOptions::default() };
    let message = packed(ram).unwrap_err().to_string();
    assert!(
        message.contains(&format!("{} more than the budget of 10000", whole.arena_bytes - 10_000)),
        "{message}"
    );
    let flash = PackOptions { flash_budget: Some(10_000), ..PackOptions::default() };
    let message = packed(flash).unwrap_err().to_string();
    assert!(
        message.contains(&format!("{} more than the budget of 10000", whole.bytes.len() - 10_000)),
        "{message}"
    );
    // The second convolution of the last block has the most weights: 64 x 3 x 3 x 64.
    assert!(message.contains("`n10`"), "{message}");
    let exact = PackOptions {
        ram_budget: Some(whole.arena_bytes),
        flash_budget: Some(whole.bytes.len()),
        ..PackOptions::default()
    };
    assert_eq!(packed(exact).unwrap(), whole);
}
