//! The four tied nets, from tiegrad's layers; their paths are PyTorch's names.

use tiegrad::prelude::*;

use crate::vectors::{Case, Tensor};

/// A net of the vectors.
#[derive(Module)]
pub(crate) enum Net {
    /// One module twice: its clone is tied to it.
    Mlp {
        net: (Linear, ReLU, Linear, ReLU, Linear, ReLU, Linear),
    },
    /// One matrix twice, the second time transposed.
    Autoencoder {
        w: ParamId,
        be: ParamId,
        bd: ParamId,
    },
    /// The table of the embedding is the weight of the head.
    Lm {
        emb: Embedding,
        fc: Linear,
        head: Linear,
    },
    /// One cell at every step.
    Rnn { ih: Linear, hh: Linear, out: Linear },
}

impl Net {
    /// The net of a case, with the sizes that its state has.
    pub(crate) fn build(case: &Case<'_>, params: &mut Params<f64>) -> Result<Self, String> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(0);
        let said = |e: init::InitError| e.to_string();
        let mut linear = |params: &mut Params<f64>, name: &str, bias| {
            let [outputs, inputs] = case.matrix(name)?;
            let layer = Linear::with(inputs, outputs).bias(bias);
            layer.build(params, &mut rng).map_err(said)
        };
        Ok(match case.net.as_str() {
            "TiedMlp" => {
                let first = linear(params, "net.0.weight", true)?;
                let shared = linear(params, "net.2.weight", true)?;
                let last = linear(params, "net.6.weight", true)?;
                let net = (first, ReLU, shared.clone(), ReLU, shared, ReLU, last);
                Self::Mlp { net }
            }
            "TiedAutoencoder" => {
                let [hidden, width] = case.matrix("w")?;
                let mut zeros = |shape: &[usize]| {
                    let id = params.insert(&ArrayD::zeros(shape));
                    id.map_err(|e| e.to_string())
                };
                Self::Autoencoder {
                    w: zeros(&[hidden, width])?,
                    be: zeros(&[hidden])?,
                    bd: zeros(&[width])?,
                }
            }
            "TiedLm" => {
                let fc = linear(params, "fc.weight", true)?;
                let [tokens, width] = case.matrix("emb.weight")?;
                let emb = Embedding::new(params, tokens, width, &mut rng);
                let head = Linear::from_ids(params, emb.weight, None).map_err(said)?;
                Self::Lm { emb, fc, head }
            }
            "TiedRnn" => Self::Rnn {
                ih: linear(params, "ih.weight", true)?,
                hh: linear(params, "hh.weight", false)?,
                out: linear(params, "out.weight", true)?,
            },
            other => return Err(format!("unknown net {other:?}")),
        })
    }

    /// The loss over the case's one batch.
    pub(crate) fn loss<'t>(
        &self,
        case: &Case<'_>,
        g: Graph<'t, f64>,
    ) -> Result<Var<'t, f64>, String> {
        let values = |t: Tensor| g.input((&t.data[..], &t.shape[..]));
        let indices = |t: Tensor| {
            let data: Vec<i64> = t.data.iter().map(|&x| x as i64).collect();
            let array = ArrayD::from_shape_vec(t.shape, data);
            let var = array.map(|indices| g.indices(&indices));
            var.map_err(|e| e.to_string())
        };
        let x = case.tensor("x")?;
        Ok(match self {
            Self::Mlp { net } => {
                let y = values(case.tensor("y")?);
                net.forward(values(x)).mse_loss(y)
            }
            Self::Autoencoder { w, be, bd } => {
                let (encoder, decoder) = (Tied::plain(*w).var(g), Tied::transposed(*w).var(g));
                let x = values(x);
                let hidden = x.linear(encoder, Some(g.param(*be))).tanh();
                hidden.linear(decoder, Some(g.param(*bd))).mse_loss(x)
            }
            Self::Lm { emb, fc, head } => {
                let y = indices(case.tensor("y")?)?;
                let hidden = fc.forward(emb.forward(indices(x)?)).tanh();
                head.forward(hidden).cross_entropy(y)
            }
            Self::Rnn { ih, hh, out } => {
                let &[batch, steps, _] = &x.shape[..] else {
                    return Err(format!("x has the shape {:?}", x.shape));
                };
                let (x, y) = (values(x), values(case.tensor("y")?));
                let mut h = g.full([batch, hh.in_features], 0.0);
                for step in 0..steps {
                    h = (ih.forward(x.select(1, step)) + hh.forward(h)).tanh();
                }
                out.forward(h).mse_loss(y)
            }
        })
    }
}
