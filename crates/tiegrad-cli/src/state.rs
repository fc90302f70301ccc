//! What a checkpoint says about its run, beside the tensors.

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::engine::{Engine, Metadata};
use crate::error::{Error, Result};
use crate::run_dir::{CHECKPOINT, RunDir};
use crate::text::{Fingerprint, Source};
use crate::vocabulary::Vocabulary;

/// The metadata entry that holds [`RunState`] as JSON.
const KEY: &str = "run";
/// The version of that JSON.
const FORMAT: u32 = 1;

/// Everything needed to go on with a run. All randomness is a function of the seed and the number of steps, so these
/// two are the whole random state. No times are in it: equal runs have equal checkpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunState {
    format: u32,
    /// Steps done.
    pub(crate) iter: u64,
    /// The settings.
    pub(crate) config: Config,
    /// Where the text is.
    pub(crate) source: Source,
    /// What the text was.
    pub(crate) fingerprint: Fingerprint,
    /// The characters of the text, in order.
    vocabulary: String,
}

impl RunState {
    /// The state of a run that has done no step.
    pub(crate) fn new(
        config: Config,
        source: Source,
        text: &str,
        vocabulary: &Vocabulary,
    ) -> RunState {
        let fingerprint = Fingerprint::of(text);
        RunState {
            format: FORMAT,
            iter: 0,
            config,
            source,
            fingerprint,
            vocabulary: vocabulary.to_text(),
        }
    }

    /// The characters that the model knows.
    pub(crate) fn vocabulary(&self) -> Vocabulary {
        Vocabulary::of(&self.vocabulary)
    }

    /// As the metadata of a checkpoint.
    pub(crate) fn to_metadata(&self) -> Result<Metadata> {
        let json = serde_json::to_string(self);
        let json = json.map_err(|e| {
            Error::failed(format!("cannot describe the run in its checkpoint ({e})"))
        })?;
        Ok(Metadata::from([(KEY.into(), json)]))
    }

    /// From the metadata of a checkpoint, which must be one that `tiegrad train` wrote.
    pub(crate) fn from_metadata(metadata: &Metadata) -> Result<RunState> {
        let Some(json) = metadata.get(KEY) else {
            return Err(Error::failed(format!(
                "the checkpoint is not of a run (it has no metadata \"{KEY}\")"
            )));
        };
        let bad = |why: String| {
            Error::failed(format!(
                "the checkpoint's metadata \"{KEY}\" cannot be read ({why})"
            ))
        };
        let value: serde_json::Value =
            serde_json::from_str(json).map_err(|e| bad(e.to_string()))?;
        let format = value.get("format").and_then(serde_json::Value::as_u64);
        if format != Some(u64::from(FORMAT)) {
            return Err(bad(format!(
                "its format is not {FORMAT}: another version of tiegrad wrote it"
            )));
        }
        let state: RunState = serde_json::from_value(value).map_err(|e| bad(e.to_string()))?;
        state.config.validate().map_err(|e| bad(e.to_string()))?;
        Ok(state)
    }

    /// From the checkpoint of a run.
    pub(crate) fn read<E: Engine>(dir: &RunDir) -> Result<RunState> {
        let path = dir.file(CHECKPOINT);
        E::metadata(&path)
            .and_then(|metadata| RunState::from_metadata(&metadata))
            .map_err(|e| e.of(&path))
    }

    /// The model in the checkpoint of a run, which must be of the shape that the state says.
    pub(crate) fn load<E: Engine>(&self, dir: &RunDir) -> Result<E> {
        let path = dir.file(CHECKPOINT);
        E::load(&path, &self.config, self.vocabulary().len()).map_err(|e| e.of(&path))
    }

    /// The whole as indented JSON, to look at.
    pub(crate) fn to_pretty_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> RunState {
        let config = Config {
            learning_rate: 0.1 + 0.2,
            seed: u64::MAX,
            ..Config::NANOGPT_CPU
        };
        let source = Source::File("/a/ü.txt".into());
        RunState {
            iter: 7,
            ..RunState::new(config, source, "hé\n\"llo", &Vocabulary::of("hé\n\"llo"))
        }
    }

    #[test]
    fn metadata_keeps_everything() {
        let state = state();
        let again = RunState::from_metadata(&state.to_metadata().unwrap()).unwrap();
        assert_eq!(again, state);
        assert_eq!(again.vocabulary().to_text(), "\n\"hloé");
    }

    #[test]
    fn foreign_and_broken_metadata_are_refused() {
        let refusal = |json: Option<String>| {
            let metadata = json
                .map(|json| (KEY.to_owned(), json))
                .into_iter()
                .collect();
            RunState::from_metadata(&metadata).unwrap_err().to_string()
        };
        assert!(refusal(None).contains("not of a run"));
        let good = state().to_metadata().unwrap()[KEY].clone();
        assert!(refusal(Some(good[1..].into())).contains("cannot be read"));
        assert!(
            refusal(Some(good.replace("\"format\":1", "\"format\":2"))).contains("another version")
        );
        assert!(
            refusal(Some(good.replace("\"n_head\":4", "\"n_head\":3")))
                .contains("multiple of --n-head 3")
        );
    }
}
