//! The language of a text, as langdetect 1.0.9 with seed 0 detects it.

use std::sync::LazyLock;

use langdetect::{DetectorFactory, Seed};

/// langdetect draws samples of a text; a fixed seed makes verdicts repeatable.
static DETECTOR: LazyLock<DetectorFactory> = LazyLock::new(|| {
    let mut factory = DetectorFactory::builtin().clone();
    factory.seed = Seed::Int(0);
    factory
});

/// The code of the most probable language, such as `en` or `zh-cn`; none where nothing in the text
/// tells, as in a text of digits.
pub(super) fn detect(text: &str) -> Option<String> {
    DETECTOR.detect(text).ok()
}
