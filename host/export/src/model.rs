//! What templates say of a model.

use goldcrest_engine::kernels::constant;
use goldcrest_engine::{Engine, Image};
use minijinja::context;
use serde_json::{Value, json};

use crate::library::kernel_symbol;
use crate::project::Export;

/// Everything that templates may name, but what is the form's own.
pub(crate) fn of(export: &Export<'_>) -> minijinja::Value {
    let image = export.payload.image.image();
    let (shape, core) = (image.input_shape(), export.core);
    let mut kernels: Vec<&str> = export.payload.layers.iter().map(|layer| layer.kernel).collect();
    kernels.sort_unstable();
    kernels.dedup();
    let picture = picture(&image);
    let name = &export.name;
    let layers = export.payload.layers.iter().map(|layer| {
        context! {
            name => layer.name.replace('|', "/"),
            kernel => layer.kernel,
            output_bytes => layer.output_bytes,
            macs => layer.macs.map_or_else(|| "unknown".to_string(), |macs| macs.to_string()),
        }
    });
    let macs = export.payload.layers.iter().map(|layer| layer.macs).sum::<Option<u64>>();
    let emulator = core.machine.map(|machine| {
        format!(
            "{} -M {} -nographic -semihosting-config enable=on,target=native{} -kernel",
            machine.program,
            machine.board,
            if machine.program == "qemu-system-riscv32" { " -bios none" } else { "" }
        )
    });
    let run_where = core.machine.map_or(String::new(), |_| " in QEMU".to_string());
    let run = match (&emulator, core.gcc) {
        (Some(emulator), _) => format!("{emulator} {name}.elf"),
        (None, "aarch64-linux-gnu-") => {
            format!(
                "$(if $(filter aarch64,$(shell uname -m)),,qemu-aarch64 -L /usr/aarch64-linux-gnu) \
                 ./{name}.elf"
            )
        }
        _ => format!("./{name}.elf"),
    };
    let libc = core.machine.map(|machine| match machine.program {
        "qemu-system-arm" => "newlib",
        _ => "picolibc",
    });
    context! {
        name,
        NAME => name.to_uppercase(),
        title => export.title,
        version => env!("CARGO_PKG_VERSION"),
        core => context! {
            name => core.name,
            title => core.title,
            target => core.target,
            rustflags => core.rustflags,
            gcc => core.gcc,
            gcc_flags => core.gcc_flags,
            fpu => core.fpu,
            boards => core.boards,
        },
        machine => core.machine,
        libc,
        emulator,
        run,
        run_where,
        small => export.small,
        height => shape.height,
        width => shape.width,
        channels => shape.channels,
        input_bytes => shape.len(),
        arena_bytes => image.arena_bytes(),
        arena_words => image.arena_words(),
        engine_bytes => if core.is_bare() { 40 } else { 80 },
        image_bytes => image.bytes().len(),
        image_words => image.bytes().len().div_ceil(4),
        image => words(image.bytes()),
        golden => image.golden().count(),
        labels => labels(&image),
        kernels => kernels.iter().map(|kernel| kernel_symbol(kernel)).collect::<Vec<_>>(),
        rust_kernels => kernels.iter().map(|kernel| constant(kernel)).collect::<Vec<_>>(),
        layers => layers.collect::<Vec<_>>(),
        macs => macs.map_or_else(|| "Unknown".to_string(), |macs| macs.to_string()),
        picture => bytes(&picture.pixels),
        picture_is => picture.what,
        picture_logits => picture.logits.iter().map(i8::to_string).collect::<Vec<_>>().join(", "),
        answer_regex => regex_of(&picture.label),
    }
}

/// A picture with what the model says of it.
pub(crate) struct Picture {
    pub(crate) pixels: Vec<u8>,
    pub(crate) logits: Vec<i8>,
    label: String,
    what: &'static str,
}

/// The first golden picture, or, of a device image without one, gray.
pub(crate) fn picture(image: &Image<'_>) -> Picture {
    let golden = image.golden().next().map(|(pixels, _)| pixels.to_vec());
    let what = if golden.is_some() { "the first golden vector" } else { "all gray" };
    let pixels = golden.unwrap_or_else(|| vec![128; image.input_shape().len()]);
    let mut arena = vec![0; image.arena_words()];
    let mut engine = Engine::new(image, &mut arena).expect("an arena of the words it asked for");
    engine.load_pixels(&pixels).expect("a picture of the input's size");
    let logits = engine.run().to_vec();
    let label = engine.best().map_or(String::new(), |(class, _)| label(image, class));
    Picture { pixels, logits, label, what }
}

/// The names of the classes for a string of C; `class N` where there is none.
fn labels(image: &Image<'_>) -> Vec<String> {
    (0..image.classes()).map(|class| c_string(&label(image, class))).collect()
}

/// The name of a class, `class N` where it has none.
pub(crate) fn label(image: &Image<'_>, class: usize) -> String {
    match image.labels().nth(class) {
        Some(label) if !label.is_empty() => label.to_string(),
        _ => format!("class {class}"),
    }
}

/// What stands between the quotes of a string of C: octal for what is not ASCII, and for `?`, which trigraphs
/// begin with. A digit behind an octal escape of three does not belong to it.
fn c_string(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b' '..=b'~' if !matches!(byte, b'"' | b'\\' | b'?') => char::from(byte).to_string(),
            byte => format!("\\{byte:03o}"),
        })
        .collect()
}

/// A name as a regular expression in double quotes of YAML; every other character stands for itself or for
/// any.
fn regex_of(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_ascii_alphanumeric() || letter == ' ' { letter } else { '.' })
        .collect()
}

/// Bytes as words, little-endian, zeros at the end, in lines of C.
fn words(bytes: &[u8]) -> String {
    let word = |chunk: &[u8]| chunk.iter().rev().fold(0u32, |word, &byte| word << 8 | u32::from(byte));
    let words: Vec<String> = bytes.chunks(4).map(|chunk| format!("0x{:08x}", word(chunk))).collect();
    lines(&words, 8)
}

fn bytes(bytes: &[u8]) -> String {
    lines(&bytes.iter().map(u8::to_string).collect::<Vec<_>>(), 20)
}

fn lines(values: &[String], per_line: usize) -> String {
    values.chunks(per_line).map(|line| format!("    {},\n", line.join(", "))).collect()
}

/// The golden vectors for other programs, as JSON.
pub(crate) fn vectors(export: &Export<'_>) -> Value {
    let image = export.payload.image.image();
    let shape = image.input_shape();
    let vectors = image.golden().map(|(pixels, logits)| json!({ "pixels": pixels, "logits": logits }));
    json!({
        "model": export.name,
        "image_crc": format!("{:08x}", image.crc()),
        "input": { "height": shape.height, "width": shape.width, "channels": shape.channels },
        "labels": (0..image.classes()).map(|class| label(&image, class)).collect::<Vec<_>>(),
        "output_scale": image.output_scale(),
        "output_zero_point": image.output_zero_point(),
        "vectors": vectors.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_classes_survive_as_strings_of_c() {
        assert_eq!(c_string("stop 50"), "stop 50");
        assert_eq!(c_string("\"a\\b\"?\n1"), "\\042a\\134b\\042\\077\\0121");
        assert_eq!(c_string("é"), "\\303\\251");
    }

    #[test]
    fn words_are_little_endian_and_whole() {
        assert_eq!(words(&[1, 2, 3, 4, 5]), "    0x04030201, 0x00000005,\n");
    }
}
