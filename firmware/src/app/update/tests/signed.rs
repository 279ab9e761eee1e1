//! A firmware with a key: whatever comes over the line, it runs whole models that were signed for it, and
//! only a right manifest empties its spare slot.

use ed25519_dalek::{Signer, SigningKey};
use goldcrest_engine::shape::{Shape, Window};
use goldcrest_link::Manifest;
use goldcrest_quantize::random::Builder;
use sha2::{Digest, Sha512};

use super::*;

/// Bytes of a piece: several to a model.
const PIECE: usize = 64;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// A small network with a golden vector; all are of one size.
fn small(seed: u64) -> Vec<u8> {
    let shape = Shape::new(6, 6, 1);
    let mut net = Builder::new(seed, shape, false);
    let filtered = net.conv(net.input(), 2, Window::new([3, 3], [2, 2]), 1, None);
    let logits = net.fully_connected(filtered, 3);
    let golden = vec![Random::new(seed).pixels(shape.len())];
    let options = PackOptions { golden, ..PackOptions::default() };
    pack(&net.finish(logits), &options).unwrap().image.bytes().to_vec()
}

fn manifest(image: &[u8], version: u32, replaces: u32, target: &str) -> Manifest {
    let length = image.len() as u32;
    Manifest::new(version, replaces, length, target, Sha512::digest(image).into()).unwrap()
}

fn sign(key: &SigningKey, manifest: &Manifest) -> Vec<u8> {
    let bytes = manifest.to_bytes();
    [&bytes[..], &key.sign(&bytes).to_bytes()].concat()
}

/// The frames of an update.
fn frames(update: u32, signed: &[u8], image: &[u8]) -> Vec<Vec<u8>> {
    let total = image.len() as u32;
    let mut requests = vec![Request::Begin { update, manifest: signed }];
    requests.extend(image.chunks(PIECE).enumerate().map(|(index, bytes)| {
        let offset = (index * PIECE) as u32;
        Request::Write { update, total, offset, bytes }
    }));
    requests.push(Request::Activate { update, crc: CRC.checksum(image) });
    (1..).zip(&requests).map(|(sequence, request)| frame(sequence, request)).collect()
}

fn board(factory: &[u8]) -> Board {
    let mut board = Board::new(factory);
    board.key = Some(key(1).verifying_key().to_bytes());
    board
}

impl Board {
    /// The model that runs, whole, and its version.
    fn runs(&mut self) -> (u32, u32) {
        match self.state() {
            (name, Updates::Signed { key, version }) if Some(key) == self.key => (name, version),
            other => panic!("{other:?}"),
        }
    }

    fn spare(&self) -> Vec<u8> {
        let [first, second] = &self.slots;
        self.slots[1 - current([&first.memory, &second.memory])].memory.to_vec()
    }
}

#[test]
fn each_wrong_manifest_has_its_name_and_erases_nothing() {
    let (ours, theirs) = (key(1), key(2));
    let (old, new) = (small(1), small(2));
    let mut board = board(&old);
    board.hear(frames(1, &sign(&ours, &manifest(&new, 4, 0, BOARD)), &new).concat());
    assert_eq!(board.runs(), (name(&new), 4));
    let before = board.spare();
    let good = manifest(&old, 5, 0, BOARD);
    let signed = sign(&ours, &good);
    let mut begin = |signed: &[u8]| {
        let refused = board.first(&[Request::Begin { update: 2, manifest: signed }]);
        assert!(refused.is_ok() || board.spare() == before, "{refused:?}");
        refused.err()
    };
    assert_eq!(begin(&sign(&theirs, &good)), Some(Refusal::Signature));
    let longer = [&signed[..], &[0]].concat();
    for bytes in [&[][..], &signed[..Manifest::BYTES], &signed[..175], &longer] {
        assert_eq!(begin(bytes), Some(Refusal::Signature), "{} bytes", bytes.len());
    }
    for version in 1..=4 {
        let back = manifest(&old, version, 0, BOARD);
        assert_eq!(begin(&sign(&ours, &back)), Some(Refusal::Rollback { installed: 4 }));
        let less = manifest(&old, version, 3, BOARD);
        assert_eq!(begin(&sign(&ours, &less)), Some(Refusal::Rollback { installed: 4 }));
    }
    for target in ["bench2", "benc", "Bench", "dsp", "mve"] {
        assert_eq!(begin(&sign(&ours, &manifest(&old, 5, 0, target))), Some(Refusal::OtherBoard), "{target}");
    }
    let large = Manifest::new(5, 0, (SLOT - 31) as u32, BOARD, [0; 64]).unwrap();
    assert_eq!(begin(&sign(&ours, &large)), Some(Refusal::TooLarge { slot: (SLOT - 32) as u32 }));
    let write = Request::Write { update: 2, total: old.len() as u32, offset: 0, bytes: &old[..PIECE] };
    assert_eq!(board.first(std::slice::from_ref(&write)), Err(Refusal::NotBegun));
    assert_eq!(board.spare(), before);
    // A step back that is signed as one, for a family of boards.
    let back = sign(&ours, &manifest(&old, 2, 4, "portable"));
    let answers = board.hear(frames(3, &back, &old).concat());
    assert!(matches!(message::decode(answers.last().unwrap()), Ok((_, Response::Activated(_)))));
    assert_eq!(board.runs(), (name(&old), 2));
}

#[test]
fn an_update_begins_once_and_only_its_own_image_ends_it() {
    let ours = key(1);
    let (old, new, other) = (small(1), small(2), small(3));
    let mut board = board(&old);
    let signed = sign(&ours, &manifest(&new, 1, 0, BOARD));
    let mut twice = frames(1, &signed, &new);
    // The same request again, in the middle: what has come stays.
    twice.insert(4, twice[0].clone());
    let answers = board.hear(twice.concat());
    let Ok((_, Response::Written { received, .. })) = message::decode(&answers[4]) else { panic!() };
    assert_eq!(received as usize, 3 * PIECE);
    assert_eq!(board.runs(), (name(&new), 1));
    // Another image under a right manifest.
    let signed = sign(&ours, &manifest(&new, 2, 0, BOARD));
    let answers = board.hear(frames(2, &signed, &other).concat());
    assert_eq!(
        message::decode::<Response>(answers.last().unwrap()).unwrap().1,
        Response::Refused(Refusal::Signature)
    );
    assert_eq!(board.runs(), (name(&new), 1));
}

#[test]
fn a_programmers_image_has_the_version_of_the_manifest_behind_it() {
    let (old, new) = (small(1), small(2));
    let signed = sign(&key(1), &manifest(&old, 9, 0, BOARD));
    let mut programmed = board(&[&old[..], &signed].concat());
    assert_eq!(programmed.runs(), (name(&old), 9));
    let signed = sign(&key(1), &manifest(&new, 9, 0, BOARD));
    let refused = programmed.first(&[Request::Begin { update: 1, manifest: &signed }]);
    assert_eq!(refused, Err(Refusal::Rollback { installed: 9 }));
    assert_eq!(board(&old).runs(), (name(&old), 0));
}

/// What is done to an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attack {
    None,
    OldVersion,
    StepBack,
    StepBackForOthers,
    OtherBoard,
    OtherKey,
    OtherImage,
    Unsigned,
    Oversized,
    OversizedPieces,
    FlippedManifest,
    FlippedImage,
    Cut,
    Reordered,
    Replayed,
    Noise,
}

const ATTACKS: [Attack; 16] = [
    Attack::None,
    Attack::OldVersion,
    Attack::StepBack,
    Attack::StepBackForOthers,
    Attack::OtherBoard,
    Attack::OtherKey,
    Attack::OtherImage,
    Attack::Unsigned,
    Attack::Oversized,
    Attack::OversizedPieces,
    Attack::FlippedManifest,
    Attack::FlippedImage,
    Attack::Cut,
    Attack::Reordered,
    Attack::Replayed,
    Attack::Noise,
];

#[test]
fn a_thousand_updates_under_attack() {
    let (ours, theirs) = (key(1), key(2));
    let models: Vec<Vec<u8>> = (1..6).map(small).collect();
    let mut board = board(&models[0]);
    let mut random = Random::new(16);
    // What an attacker has recorded: the manifest, the model, the frames.
    let mut recorded: Vec<(Manifest, usize, Vec<Vec<u8>>)> = Vec::new();
    let (mut running, mut installed) = (0, 0);
    let mut tally = [[0; 2]; ATTACKS.len()];
    for round in 0..1000 {
        let mut below = |limit: usize| random.within(0, limit as i64 - 1) as usize;
        let mut attack = ATTACKS[round % ATTACKS.len()];
        if installed < 2 || recorded.is_empty() {
            attack = Attack::None;
        }
        let mut model = (running + 1 + below(models.len() - 1)) % models.len();
        let image = &models[model];
        let lower = 1 + below(installed.max(1) as usize) as u32;
        let mut made = match attack {
            Attack::OldVersion => manifest(image, lower, 0, BOARD),
            Attack::StepBack => manifest(image, lower.max(2), installed, BOARD),
            Attack::StepBackForOthers => manifest(image, lower, below(installed as usize) as u32, BOARD),
            Attack::OtherBoard => manifest(image, installed + 1, 0, ["benches", "dsp", "mve", "b"][below(4)]),
            Attack::Oversized => {
                Manifest::new(installed + 1, 0, (SLOT - 31 + below(9999)) as u32, BOARD, [0; 64]).unwrap()
            }
            _ => manifest(image, installed + 1, 0, BOARD),
        };
        let mut signed = sign(if attack == Attack::OtherKey { &theirs } else { &ours }, &made);
        let mut sent = image.clone();
        match attack {
            Attack::FlippedManifest => signed[below(Manifest::SIGNED_BYTES)] ^= 1 << below(8),
            Attack::FlippedImage => sent[below(image.len())] ^= 1 << below(8),
            Attack::OtherImage => {
                let other = (0..models.len()).find(|other| ![model, running].contains(other));
                sent.clone_from(&models[other.unwrap()]);
            }
            Attack::OversizedPieces => sent.resize(sent.len() + 1 + below(SLOT), 0),
            _ => {}
        }
        let mut frames = frames(round as u32, &signed, &sent);
        let cut = match attack {
            // In the midst of erasing 20 pages, of writing, or of the record.
            Attack::Cut => below(30 + image.len() / GRANULE),
            _ => usize::MAX,
        };
        match attack {
            Attack::Unsigned => drop(frames.remove(0)),
            Attack::Reordered => (1..frames.len()).for_each(|last| frames.swap(last, below(last + 1))),
            Attack::Replayed => (made, model, frames) = recorded[below(recorded.len())].clone(),
            Attack::Noise => {
                for _ in 0..1 + below(4) {
                    let at = below(frames.len());
                    let byte = below(frames[at].len());
                    match below(3) {
                        0 => frames[at][byte] ^= 1 << below(8),
                        1 => drop(frames.remove(at)),
                        _ => frames.insert(at, frames[at].clone()),
                    }
                }
            }
            _ => {}
        }
        if matches!(attack, Attack::None | Attack::StepBack | Attack::Cut) {
            recorded.push((made, model, frames.clone()));
        }
        let is_right = match attack {
            Attack::OtherBoard | Attack::OtherKey | Attack::Unsigned => false,
            Attack::Oversized | Attack::FlippedManifest => false,
            _ => made.may_follow(installed),
        };

        let spare = board.spare();
        board.power.left.set(cut);
        board.hear(frames.concat());
        board.power.left.set(usize::MAX);

        // Whole, tested by its golden vector, and the old one or that of a right manifest.
        let (runs, version) = board.runs();
        let is_new = (runs, version) == (name(&models[model]), made.version);
        let is_old = (runs, version) == (name(&models[running]), installed);
        assert!(is_old || is_new && is_right, "round {round}, {attack:?}: {runs:08x} {version}");
        assert!(is_right || board.spare() == spare, "round {round}, {attack:?}: the spare slot");
        match attack {
            Attack::None | Attack::StepBack => assert!(is_new, "round {round}, {attack:?}"),
            Attack::Cut | Attack::Reordered | Attack::Replayed | Attack::Noise => {}
            _ => assert!(is_old, "round {round}, {attack:?}"),
        }
        let which = ATTACKS.iter().position(|&one| one == attack).unwrap();
        tally[which][usize::from(is_new && !is_old)] += 1;
        if is_new {
            (running, installed) = (model, version);
        }
    }
    for (attack, [kept, taken]) in ATTACKS.iter().zip(tally) {
        assert!(kept + taken >= 60, "{attack:?}: {kept} kept the old model, {taken} took the new");
    }
    let both = [Attack::Cut, Attack::Replayed, Attack::Noise];
    for (attack, [kept, taken]) in ATTACKS.iter().zip(tally).filter(|(attack, _)| both.contains(attack)) {
        assert!(kept > 0 && taken > 0, "{attack:?}: {kept} kept the old model, {taken} took the new");
    }
}
