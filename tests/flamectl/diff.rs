//! Comparisons, and the builds that fail on them.

use flamestore_tests::Server;

use crate::flamectl::{push, run};

#[test]
fn a_build_fails_exactly_where_a_condition_holds() {
    let server = Server::start(&[]);
    push(&server, "before", "main;work 80\nmain;idle 20\n");
    push(&server, "after", "main;work 100\nmain;idle 20\nmain;fresh 5\n");
    let diff = |condition: &str| run(&server, &["diff", "before", "after", "--fail-if", condition]);
    for (condition, trips) in [
        ("total>20%", true),
        ("total>25%", false),
        ("work self>20%", true),
        ("work self>5pp", false),
        ("fresh total>0", true),
        ("idle self<-1pp", true),
        ("* self>150ms", true),
        ("* self>200ms", false),
        ("nobody self>1%", false),
    ] {
        let ran = diff(condition);
        assert_eq!(ran.code, Some(i32::from(trips)), "{condition}: {ran:?}");
        let out = String::from_utf8_lossy(&ran.out);
        assert_eq!(out.contains(&format!("FAIL {condition}: ")), trips, "{out}");
    }
    let ran = run(&server, &["diff", "after", "before", "--fail-if", "total>0", "--fail-if", "total<-10%"]);
    assert_eq!(ran.code, Some(1), "one of two is enough: {ran:?}");
    let unknown = diff("nobody self>1%");
    assert!(String::from_utf8_lossy(&unknown.out).contains("neither side knows nobody"), "{unknown:?}");
}

#[test]
fn the_json_form_has_both_sides_and_the_conditions() {
    let server = Server::start(&[]);
    push(&server, "before", "main;work 80\n");
    push(&server, "after", "main;work 100\n");
    let ran = run(&server, &["diff", "before", "after", "-o", "json", "--fail-if", "work self>50%"]);
    let json = ran.json();
    assert_eq!(json["left"]["total"], 800_000_000);
    assert_eq!(json["functions"][0]["self"]["right"], 1_000_000_000);
    assert_eq!(json["conditions"][0]["holds"], false);
}

#[test]
fn both_sides_may_stand_in_one_text_of_the_query_language() {
    let server = Server::start(&[]);
    push(&server, "before", "main;work 80\n");
    push(&server, "after", "main;work 100\n");
    let text = r#"{service="before"}{type="cpu"} vs {service="after"}"#;
    let json = run(&server, &["diff", text, "-o", "json"]).json();
    assert_eq!((&json["left"]["total"], &json["right"]["total"]), (&800_000_000.into(), &1_000_000_000.into()));
    run(&server, &["diff", r#"{service="after", offset=2h} vs after"#]).failed(7, "left: there are no profiles of");
    run(&server, &["query", text]).failed(2, "flamectl diff");
    let json = run(&server, &["query", r#"{service="after", type="cpu"}"#, "-o", "json"]).json();
    assert_eq!(json["total"], 1_000_000_000);
}

#[test]
fn the_same_selector_is_compared_with_its_past() {
    let server = Server::start(&[]);
    push(&server, "demo", "main;work 80\n");
    let ran = run(&server, &["diff", "demo", "--offset", "2h"]);
    ran.failed(7, "left: there are no profiles of");
    run(&server, &["diff", "demo"]).failed(2, "both sides are the same");
    run(&server, &["diff", "demo", "nobody"]).failed(7, "right: there are no profiles of");
    let ran = run(&server, &["diff", "demo", "demo", "--left-from", "now-50m"]);
    assert!(ran.text().contains("not of the same length"), "{ran:?}");
}
