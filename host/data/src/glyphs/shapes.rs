//! The ten signs as signed distances: negative inside, positive outside.
//!
//! Signs fill about the unit circle; x runs to the right, y down.

/// Where a point lies.
pub(super) struct Ink {
    /// Distance to the border of the sign.
    pub face: f32,
    /// Distance to the mark on the sign, in another colour.
    pub mark: f32,
}

/// Far away from anything.
const NONE: f32 = 10.0;

/// A class: its name and how it looks.
type Class = (&'static str, fn(f32, f32) -> Ink);

/// All classes, sorted by name.
pub(super) const CLASSES: [Class; 10] = [
    ("arrow-down", |x, y| plain(arrow(x, -y))),
    ("arrow-up", |x, y| plain(arrow(x, y))),
    ("cross", |x, y| {
        let half = std::f32::consts::FRAC_1_SQRT_2;
        plain(plus((x + y) * half, (x - y) * half))
    }),
    ("diamond", |x, y| plain((x.abs() + y.abs() - 0.95) * std::f32::consts::FRAC_1_SQRT_2)),
    ("plus", |x, y| plain(plus(x, y))),
    ("ring", |x, y| plain((x.hypot(y) - 0.66).abs() - 0.22)),
    ("star", |x, y| plain(star(x, y))),
    ("stop", |x, y| Ink { face: octagon(x, y), mark: slab(x, y, 0.62, 0.2) }),
    ("warning", |x, y| Ink { face: triangle(x, y), mark: slab(x, y - 0.12, 0.11, 0.36) }),
    ("yield", |x, y| {
        let outer = triangle(x, -y);
        Ink { face: outer, mark: outer + 0.24 }
    }),
];

fn plain(face: f32) -> Ink {
    Ink { face, mark: NONE }
}

/// A rectangle of half width `w` and half height `h`.
fn slab(x: f32, y: f32, w: f32, h: f32) -> f32 {
    (x.abs() - w).max(y.abs() - h)
}

fn plus(x: f32, y: f32) -> f32 {
    slab(x, y, 0.95, 0.24).min(slab(x, y, 0.24, 0.95))
}

/// The common part of half planes through `(nx, ny)` normals at distance `d`.
fn half_plane(x: f32, y: f32, nx: f32, ny: f32, d: f32) -> f32 {
    x * nx + y * ny - d
}

/// An equilateral triangle with its tip up.
fn triangle(x: f32, y: f32) -> f32 {
    let y = y - 0.2;
    half_plane(x.abs(), y, 0.866, -0.5, 0.5).max(half_plane(x, y, 0.0, 1.0, 0.5))
}

fn octagon(x: f32, y: f32) -> f32 {
    let diagonal = (x.abs() + y.abs()) * std::f32::consts::FRAC_1_SQRT_2;
    x.abs().max(y.abs()).max(diagonal) - 0.85
}

fn arrow(x: f32, y: f32) -> f32 {
    let head = half_plane(x.abs(), y, 0.745, -0.667, 0.62).max(y - 0.0);
    head.min(slab(x, y - 0.4, 0.22, 0.52))
}

/// Five points: the nearest edge of a sector mirrored and turned five times.
fn star(x: f32, y: f32) -> f32 {
    let sector = std::f32::consts::TAU / 5.0;
    let angle = x.atan2(-y);
    let turned = angle - sector * (angle / sector).round();
    let radius = x.hypot(y);
    let (px, py) = (radius * turned.sin().abs(), radius * turned.cos());
    // The edge from the tip (0, 1) to the inner corner at 36 degrees and radius 0.42.
    let (ix, iy) = (0.42 * 0.588, 0.42 * 0.809);
    let (ex, ey) = (ix, iy - 1.0);
    let length = f32::hypot(ex, ey);
    (px * -ey + (py - 1.0) * ex) / length
}
