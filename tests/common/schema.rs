//! JSON documents against their schemas.

use crate::lab::skip;
use std::{
    fs,
    process::{Command, Stdio},
};

/// Is the document valid by its schema in contrib/monitoring?
#[track_caller]
pub fn validate(document: &str, json: &str) {
    let schema = format!("{}/contrib/monitoring/{document}.schema.json", env!("CARGO_MANIFEST_DIR"));
    const SCRIPT: &str = "import json, sys\ntry:\n    import jsonschema\nexcept ImportError:\n    sys.exit(77)\n\
                          jsonschema.validate(json.load(sys.stdin), json.load(open(sys.argv[1])))";
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("json"), json).unwrap();
    // The first python3 need not be the one that Debian's packages are for.
    let ended = ["python3", "/usr/bin/python3"].map(|python| {
        let stdin = fs::File::open(dir.path().join("json")).unwrap();
        Command::new(python).args(["-c", SCRIPT, &schema]).stdin(Stdio::from(stdin)).output()
    });
    let judged = ended.into_iter().flatten().find(|output| output.status.code() != Some(77));
    match judged {
        Some(output) => assert!(output.status.success(), "{}\n{json}", String::from_utf8_lossy(&output.stderr)),
        None => skip(&format!("the schema of {document}: python3-jsonschema is not installed")),
    }
}
