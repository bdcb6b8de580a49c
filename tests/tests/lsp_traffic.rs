//! Says loudly when the tests could not hold their traffic against the specification.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use lacuna_tests::meta_model::MetaModel;

#[test]
fn the_meta_model_is_there_or_its_absence_is_said() {
    if let Some(model) = MetaModel::from_environment() {
        assert!(model.names("textDocument/inlineCompletion"), "the meta model is older than LSP 3.18");
        return;
    }
    lacuna_tests::say(
        "\nSKIPPED: LACUNA_META_MODEL names no metaModel.json: the recorded traffic of the tests was not checked",
    );
}
