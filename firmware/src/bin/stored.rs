//! Classifies pictures in flash, without a host: class and logits of every picture are logged. The pictures
//! are those of the file that `GOLDCREST_PICTURES` named when the program was built: binary PPM, one behind
//! the other.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
#[goldcrest_firmware::start::entry]
fn main() -> ! {
    use goldcrest_firmware::board::{Board, Chosen};
    use goldcrest_firmware::source::Scratch;
    use goldcrest_firmware::source::stored::Stored;

    static FILE: &[u8] = include_bytes!(env!(
        "GOLDCREST_PICTURES",
        "set GOLDCREST_PICTURES to the whole path of a file of binary PPM pictures (`cat *.ppm`)"
    ));
    // Pictures of up to 320 columns.
    let mut row = [0; 320];
    goldcrest_firmware::start::pictures::run(Chosen::NAME, |sums| {
        let source = Stored::new(FILE, Scratch { sums, row: &mut row });
        let source = source.unwrap_or_else(|error| panic!("GOLDCREST_PICTURES: {error}"));
        (source, Chosen::take().led)
    })
}

#[cfg(not(target_os = "none"))]
fn main() {}
