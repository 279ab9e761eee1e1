//! The test vectors of `docs/link-protocol.md`.

use super::message::{
    Info, ModelFault, ModelInfo, Refusal, Report, Request, Response, Updates, decode, send,
};
use super::{CRC, Decoder, Manifest, VERSION, Values};
use std::fmt::Write;

const SPECIFICATION: &str = include_str!("../../../docs/link-protocol.md");

/// A row of the table: the message as the document prints it, its sequence number, its frame.
fn row(name: &str, sequence: u32, message: &impl serde::Serialize) -> String {
    let mut frame = Vec::new();
    send(&mut frame, sequence, message).unwrap();
    let mut row = format!("| {name} | {sequence} | `");
    for (index, byte) in frame.iter().enumerate() {
        write!(row, "{}{byte:02x}", if index == 0 { "" } else { " " }).unwrap();
    }
    row + "` |"
}

#[test]
fn the_document_has_these_frames() {
    let logits = [-128, -1, 0, 127];
    let model = ModelInfo {
        crc: 0x1234_5678,
        image_bytes: 71_364,
        arena_bytes: 5204,
        input: [32, 32, 3],
        classes: 10,
        layers: 7,
        golden: 2,
        fit: 2,
        background: [255, 128, 0],
    };
    let info = |model, updates| {
        Response::Info(Info {
            board: "mps2-an386",
            firmware: "0.1.0",
            ticks_per_second: 25_000_000,
            firmware_bytes: 31_784,
            slot_bytes: 3 << 20,
            arena_capacity: 4_173_808,
            stack_bytes: 1336,
            stack_capacity: 16_384,
            model,
            updates,
        })
    };
    let key = core::array::from_fn(|index| index as u8);
    // Which version of which length for which boards, with a digest and a signature of counting bytes.
    let digest = core::array::from_fn(|index| index as u8);
    let manifest = Manifest::new(7, 5, 71_364, "nucleo-f446re", digest).unwrap();
    let signature: [u8; 64] = core::array::from_fn(|index| 0x80 + index as u8);
    let signed = [&manifest.to_bytes()[..], &signature].concat();
    let crc = CRC.checksum(&[0, 1, 2, 0]);
    let rows = [
        row("request `Hello`, version 3", 1, &Request::Hello { version: VERSION }),
        row("request `Info`", 0x1234_5678, &Request::Info),
        row(
            "request `Load`, transfer 7, offset 304, pixels 0 1 2 0",
            3,
            &Request::Load { transfer: 7, offset: 304, pixels: &[0, 1, 2, 0] },
        ),
        row(
            "request `Run`, transfer 7, the CRC of pixels 0 1 2 0, report `Trace`",
            4,
            &Request::Run { transfer: 7, crc, report: Report::Trace },
        ),
        row("request `SelfTest`", 5, &Request::SelfTest),
        row(
            "request `Write`, update 9, bytes 0 1 2 0 at 71,360 of 71,364",
            6,
            &Request::Write { update: 9, total: 71_364, offset: 71_360, bytes: &[0, 1, 2, 0] },
        ),
        row(
            "request `Activate`, update 9, CRC 0x12345678",
            7,
            &Request::Activate { update: 9, crc: 0x1234_5678 },
        ),
        row("request `LastWords`", 8, &Request::LastWords),
        row(
            "request `Picture`, transfer 7, 480 x 640 x 3, offset 921,596, pixels 0 1 2 0",
            9,
            &Request::Picture {
                transfer: 7,
                height: 480,
                width: 640,
                channels: 3,
                offset: 921_596,
                pixels: &[0, 1, 2, 0],
            },
        ),
        row(
            "response `Hello`, version 3, frames of 4,096 bytes, 4,096 bytes ahead",
            1,
            &Response::Hello { version: VERSION, frame_bytes: 4096, ahead_bytes: 4096 },
        ),
        row("response `Info`, with a model", 2, &info(Ok(model), Updates::Unsigned)),
        row(
            "response `Info`, with a model that needs 99,999 bytes of RAM, no second slot",
            2,
            &info(Err(ModelFault::Arena { needed: 99_999 }), Updates::None),
        ),
        row(
            "response `Info`, with version 6 of a model, and the key 00 to 1f",
            2,
            &info(Ok(model), Updates::Signed { key, version: 6 }),
        ),
        row(
            "response `Loaded`, transfer 7, 304 bytes, and the second and third granule behind them",
            3,
            &Response::Loaded { transfer: 7, received: 304, ahead: 0b110 },
        ),
        row(
            "response `Layer` 2, values -128 -1 0 127 at 1,024 of 1,028",
            4,
            &Response::Layer { layer: 2, offset: 1024, length: 1028, values: Values::new(&logits) },
        ),
        row(
            "response `LayerTicks`, layer 2, 2^40 ticks",
            4,
            &Response::LayerTicks { layer: 2, ticks: 1 << 40 },
        ),
        row(
            "response `Answer`, transfer 7, class 3, 65,536 ticks, 5 parts, logits -128 -1 0 127",
            4,
            &Response::Answer {
                transfer: 7,
                class: 3,
                ticks: 65_536,
                parts: 5,
                logits: Values::new(&logits),
            },
        ),
        row("response `SelfTest`, 2 vectors, 1 failed", 5, &Response::SelfTest { vectors: 2, failed: 1 }),
        row("response `Refused`, `Damaged`", 0, &Response::Refused(Refusal::Damaged)),
        row(
            "response `Refused`, `NoModel`, `Absent`",
            6,
            &Response::Refused(Refusal::NoModel(ModelFault::Absent)),
        ),
        row(
            "response `Refused`, `Incomplete`, 100 of 3,072",
            6,
            &Response::Refused(Refusal::Incomplete { received: 100, expected: 3072 }),
        ),
        row("response `Refused`, `StackOverflow`", 6, &Response::Refused(Refusal::StackOverflow)),
        row("response `Refused`, `Signature`", 7, &Response::Refused(Refusal::Signature)),
        row(
            "response `Refused`, `NewModel`, `Version`",
            7,
            &Response::Refused(Refusal::NewModel(ModelFault::Version)),
        ),
        row(
            "response `Written`, update 9, 1,024 bytes",
            6,
            &Response::Written { update: 9, received: 1024, ahead: 0 },
        ),
        row("response `Activated`", 7, &Response::Activated(model)),
        row("response `LastWords`, hard fault", 8, &Response::LastWords { message: "hard fault" }),
        row(
            "request `Begin`, update 9, the manifest above",
            10,
            &Request::Begin { update: 9, manifest: &signed },
        ),
        row(
            "response `Refused`, `Rollback`, version 7 is installed",
            10,
            &Response::Refused(Refusal::Rollback { installed: 7 }),
        ),
        row(
            "response `Prepared`, transfer 7, 4,096 bytes",
            9,
            &Response::Prepared { transfer: 7, received: 4096, input: None },
        ),
        row(
            "response `Prepared`, transfer 7, all bytes, an input with the CRC 0x12345678",
            9,
            &Response::Prepared { transfer: 7, received: 921_600, input: Some(0x1234_5678) },
        ),
        row(
            "response `Refused`, `PictureRoom`, 70,000 bytes of 65,536",
            9,
            &Response::Refused(Refusal::PictureRoom { needed: 70_000, room: 65_536 }),
        ),
    ];
    let table = rows.join("\n");
    assert!(SPECIFICATION.contains(&table), "docs/link-protocol.md should have:\n{table}");
}

#[test]
fn the_documents_frames_decode_to_what_it_says() {
    let rows =
        SPECIFICATION.lines().filter(|line| line.starts_with("| request") || line.starts_with("| response"));
    let mut count = 0;
    for line in rows.filter(|line| line.ends_with("00` |")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let bytes = cells[3].trim_matches('`').split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap());
        let mut decoder = Decoder::new([0; 256]);
        let payloads: Vec<_> =
            bytes.filter_map(|byte| decoder.push(byte).map(|end| end.unwrap().to_vec())).collect();
        let sequence: u32 = cells[2].parse().unwrap();
        let printed = match cells[1].starts_with("request") {
            true => decode::<Request>(&payloads[0]).map(|(of, message)| (of, format!("{message:?}"))),
            false => decode::<Response>(&payloads[0]).map(|(of, message)| (of, format!("{message:?}"))),
        };
        let (of, message) = printed.unwrap();
        let name = cells[1].split('`').nth(1).unwrap();
        assert!(of == sequence && message.starts_with(name), "{line}: {of} {message}");
        count += 1;
    }
    assert_eq!(count, 32);
}
