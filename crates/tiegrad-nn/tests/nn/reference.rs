//! GPT against a plain reading of its definition (nanoGPT's `model.py`), number by number.

use ndarray::{Array1, Array2, Axis, s};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tiegrad_kernels::Arithmetic;
use tiegrad_nn::prelude::*;

/// Reads parameters by name.
struct Reference<'p> {
    params: &'p Params<f64>,
    gpt: &'p GPT,
    heads: usize,
}

impl Reference<'_> {
    fn matrix(&self, path: &str) -> Array2<f64> {
        let value = self.params.value(self.gpt.find(path).unwrap()).unwrap();
        value.into_dimensionality().unwrap().to_owned()
    }

    fn vector(&self, path: &str) -> Array1<f64> {
        let value = self.params.value(self.gpt.find(path).unwrap()).unwrap();
        value.into_dimensionality().unwrap().to_owned()
    }

    fn linear(&self, x: &Array2<f64>, path: &str) -> Array2<f64> {
        x.dot(&self.matrix(&format!("{path}.weight")).t()) + self.vector(&format!("{path}.bias"))
    }

    fn norm(&self, x: &Array2<f64>, path: &str) -> Array2<f64> {
        let mut y = x.clone();
        for mut row in y.rows_mut() {
            let mean = row.sum() / row.len() as f64;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / row.len() as f64;
            row.mapv_inplace(|x| (x - mean) / (variance + 1e-5).sqrt());
        }
        y * self.vector(&format!("{path}.weight")) + self.vector(&format!("{path}.bias"))
    }

    fn attention(&self, x: &Array2<f64>, path: &str) -> Array2<f64> {
        let (time, width) = x.dim();
        let qkv = self.linear(x, &format!("{path}.c_attn"));
        let d = width / self.heads;
        let mut y = Array2::zeros((time, width));
        for head in 0..self.heads {
            let part =
                |i: usize| qkv.slice(s![.., i * width + head * d..i * width + (head + 1) * d]);
            let (q, k, v) = (part(0), part(1), part(2));
            for i in 0..time {
                let scores: Vec<f64> = (0..=i)
                    .map(|j| (q.row(i).dot(&k.row(j)) / (d as f64).sqrt()).exp())
                    .collect();
                let total: f64 = scores.iter().sum();
                for (j, score) in scores.iter().enumerate() {
                    let mut to = y.slice_mut(s![i, head * d..(head + 1) * d]);
                    to.scaled_add(score / total, &v.row(j));
                }
            }
        }
        self.linear(&y, &format!("{path}.c_proj"))
    }

    fn mlp(&self, x: &Array2<f64>, path: &str) -> Array2<f64> {
        let gelu = |x: f64| 0.5 * x * (1.0 + Arithmetic::erf(x / std::f64::consts::SQRT_2));
        self.linear(
            &self.linear(x, &format!("{path}.c_fc")).mapv(gelu),
            &format!("{path}.c_proj"),
        )
    }

    fn logits(&self, idx: &[u32]) -> Array2<f64> {
        let rows: Vec<usize> = idx.iter().map(|&i| i as usize).collect();
        let mut x = self.matrix("wte.weight").select(Axis(0), &rows);
        x += &self.matrix("wpe.weight").slice(s![..idx.len(), ..]);
        for i in 0..self.gpt.h.len() {
            x = &x
                + &self.attention(
                    &self.norm(&x, &format!("h.{i}.ln_1")),
                    &format!("h.{i}.attn"),
                );
            x = &x
                + &self.mlp(
                    &self.norm(&x, &format!("h.{i}.ln_2")),
                    &format!("h.{i}.mlp"),
                );
        }
        self.norm(&x, "ln_f")
            .dot(&self.matrix("lm_head.weight").t())
    }
}

#[test]
fn logits_are_those_of_the_definition() {
    for tied in [true, false] {
        let mut rng = SmallRng::seed_from_u64(9);
        let mut params = Params::<f64>::new();
        let config = GptConfig {
            n_layer: 2,
            n_head: 3,
            n_embd: 12,
            block_size: 7,
            vocab_size: 10,
            bias: true,
            tied,
            ..GptConfig::default()
        };
        let gpt = GPT::new(&mut params, &config, &mut rng).unwrap();
        // Every parameter away from its start, gains and biases too.
        gpt.init_at(&mut params, "**", init::normal(0.1, 0.4), &mut rng)
            .unwrap();
        let reference = Reference {
            params: &params,
            gpt: &gpt,
            heads: config.n_head,
        };
        let idx = [[3_u32, 1, 4, 1, 5], [9, 2, 6, 5, 3]];

        let mut tape = Tape::new();
        let g = tape.eval(&params);
        let logits = gpt.forward(g.indices(ndarray::arr2(&idx)));
        let logits = logits.value().unwrap();
        for (b, row) in idx.iter().enumerate() {
            let expected = reference.logits(row);
            let worst = (&logits.index_axis(Axis(0), b) - &expected.into_dyn())
                .iter()
                .fold(0.0_f64, |m, d| m.max(d.abs()));
            assert!(worst < 1e-11, "{worst}");
        }
    }
}
