//! The grammar bench as a command.

use mneme::bench::grammar::CASES;
use serde_json::Value;

use crate::harness::program::binary;
use crate::harness::weights::model_path;

#[test]
fn every_case_is_measured_and_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("figures.json");
    let mut command = binary();
    command.args(["bench", "grammar", "--engine", "mneme", "--model"]).arg(model_path(super::SMALL));
    let output = command.arg("--json").arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(report["bench"], "grammar");
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["case"].as_str().unwrap()).collect::<Vec<_>>(), CASES);
    for row in rows {
        assert_eq!(row["error"], Value::Null, "{row}");
        assert_eq!(row["vocabulary"], 49_152);
        assert!(row["tokens"].as_u64().unwrap() >= 10 && row["masks"] == row["tokens"], "{row}");
        let figure = |name: &str| row[name].as_f64().unwrap_or_else(|| panic!("{name} of {row}"));
        assert!(figure("mask_p50_us") <= figure("mask_p99_us") && figure("mask_p99_us") <= figure("mask_max_us"));
        assert!(figure("mask_mean_us") > 0.0 && figure("compile_us") > 0.0 && figure("check_us") > 0.0);
    }
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(CASES.iter().all(|case| table.contains(case)), "{table}");
}
