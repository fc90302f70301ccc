use super::*;
use crate::scalar::Dual;
use crate::simd::best;
use crate::testing::{Number, Numbers};

/// What stands between and around what is written.
const GUARD: f64 = -7.0;

/// One band, `from` and `to` so many elements behind lines of the cache, with so many elements between rows.
fn band<N: Number>(
    [rows, cols]: [usize; 2],
    [to_at, to_gap, from_at, from_gap]: [usize; 4],
    numbers: &[N],
    room: &mut [N],
) {
    let (to_row, from_col) = (cols + to_gap, rows + from_gap);
    let (from, room) = (&numbers[lead(numbers.as_ptr()) + from_at..], room);
    let to_at = lead(room.as_ptr()) + to_at;
    let reach = |n, m, stride| (n - 1) * stride + m;
    assert!(
        from.len() >= reach(cols, rows, from_col) && room.len() > to_at + reach(rows, cols, to_row)
    );
    for level in best().and_below() {
        for (w, past) in [
            (Write::Overwrite, false),
            (Write::Overwrite, true),
            (Write::Accumulate, true),
        ] {
            room.fill(N::from_f64(GUARD));
            let band = Band {
                w,
                to: room[to_at..].as_mut_ptr(),
                to_row,
                from: from.as_ptr(),
                from_col,
                rows,
                cols,
            };
            // SAFETY: the machine has the level, and both sides were found long enough.
            unsafe { band.run(level, past) };
            for (at, &x) in room.iter().enumerate() {
                let at = at.wrapping_sub(to_at);
                let (row, col) = (at / to_row, at % to_row);
                let expected = if row >= rows || col >= cols {
                    N::from_f64(GUARD)
                } else if w == Write::Overwrite {
                    from[col * from_col + row]
                } else {
                    N::from_f64(GUARD) + from[col * from_col + row]
                };
                assert!(
                    x == expected,
                    "{level:?} {w:?} past {past}, {rows} x {cols} at {row}, {col}"
                );
            }
        }
    }
}

fn bands<N: Number>() {
    let numbers: Vec<N> = Numbers::new(6).vec(90_000);
    let mut room = vec![N::ZERO; 90_000];
    let l = side::<N>();
    // Parts of squares, squares, and both beside each other, up to the most rows.
    let sizes = [
        [1, 3],
        [l - 1, 3 * l],
        [3 * l, l - 1],
        [l, l],
        [2 * l, 3 * l],
        [l + 1, 2 * l - 1],
        [5 * l + 3, 3 * l + 5],
    ];
    for [rows, cols] in sizes {
        // Gaps after which rows begin with a line, or at the same place of one, or at another.
        let even = |n: usize| n.next_multiple_of(l) - n;
        for to_gap in [0, even(cols), even(cols) + 1] {
            for from_gap in [even(rows), even(rows) + 3] {
                for (to_at, from_at) in [(0, 0), (1, 0), (l - 1, 1), (0, l - 1)] {
                    let gaps = [to_at, to_gap, from_at, from_gap];
                    band(
                        [rows, cols],
                        gaps,
                        &numbers,
                        &mut room[..3000 + 8 * rows * (cols + to_gap) / 7],
                    );
                }
            }
        }
    }
    band([ROWS + l, 2 * l + 1], [1, 0, 1, 0], &numbers, &mut room);
}

#[test]
fn bands_are_transposes_on_every_level() {
    bands::<f32>();
    bands::<f64>();
    bands::<Dual<f32>>();
    bands::<Dual<f64>>();
}
