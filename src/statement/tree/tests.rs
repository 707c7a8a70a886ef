//! Tests of `tree`: the guards hold, and a parser that reads tokens otherwise is not believed.

use super::*;
use std::thread;

#[test]
fn a_tree_knows_its_places() {
    let text = "select a /* x */, (b) from t";
    let tree = Tree::parse(text).unwrap();
    assert_eq!(tree.node(0).kind, SyntaxKind::SOURCE_FILE);
    assert_eq!(tree.node(0).after, tree.nodes().len());
    for (index, node) in tree.nodes().iter().enumerate().skip(1) {
        assert!(node.parent < index && tree.node(node.parent).after >= node.after);
        assert!(tree.children(node.parent).any(|child| child == index));
        assert!(!node.is_token || !text[node.span.clone()].trim().is_empty());
    }
    let words: Vec<_> = tree.tokens(0).map(|(_, word)| word).collect();
    assert_eq!(words, ["select", "a", ",", "(", "b", ")", "from", "t"]);
}

#[test]
fn tokens_read_otherwise_are_not_believed() {
    for text in [
        "select E'x'\n'\\'', secret from t --'",
        "select 'open",
        "select a b c d",
        "select from where",
        "begin select 1",
    ] {
        assert!(Tree::parse(text).is_none(), "{text}");
    }
    for text in [
        "select 'a'\n'b'",
        "select 1.5, .5, 1e5, -1, 2*-3, a<=-b, a::int[], b[1:2], $1, $$x$$, U&'a', U&\"b\", E'\\'', B'1' from t",
        "select a from t where b = 1;",
    ] {
        assert!(Tree::parse(text).is_some(), "{text}");
    }
}

#[test]
fn no_text_exhausts_a_stack_of_two_megabytes() {
    let repeated = |prefix: &str, unit: &str, suffix: &str, count: usize| {
        format!("{prefix}{}{suffix}", unit.repeat(count))
    };
    let mut texts = vec![
        repeated("select ", "not ", "1", 8000),
        repeated("select ", "- ", "1", 8000),
        repeated("select ", "case ", "1", 8000),
        repeated("select ", "case when ", "1", 4000),
        repeated("", "explain ", "select 1", 8000),
        repeated("select 1 from a", " join b", " on true", 4000),
        repeated("select 1", " union select 1", "", 2600),
        repeated("select 1", " + 1", "", 4000),
        repeated("select 1", "::int", "", 2000),
        repeated("select a", ".b", "", 4000),
        repeated("", "prepare p as ", "select 1", 2000),
        repeated("", "create schema s ", "", 2000),
        repeated("with a as (", "with a as (", "select 1", 2000),
    ];
    for unit in [
        "(",
        "(select ",
        "f(",
        "array[",
        "case when (",
        "exists(select 1 from a where not ",
        "- - - - - - (",
    ] {
        for count in [60, 126, 2000, 20_000] {
            let close = if unit.contains('[') { "]" } else { ")" };
            texts.push(format!(
                "select {}1{}",
                unit.repeat(count),
                close.repeat(count)
            ));
        }
    }
    for from in ["(select 1 from ", "(", "((select 1 from "] {
        texts.push(format!(
            "select 1 from {}a{}",
            from.repeat(60),
            ") x".repeat(60)
        ));
    }
    let small = thread::Builder::new()
        .stack_size(2 * 1024 * 1024)
        .spawn(move || {
            for text in &texts {
                let _read = Tree::parse(text).map(|tree| tree.nodes().len());
            }
        });
    small.unwrap().join().unwrap();
}

#[test]
fn the_guards_are_the_limits() {
    let nested = |depth: usize| format!("select {}1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Tree::parse(&nested(128)).is_some());
    assert!(Tree::parse(&nested(129)).is_none());
    let list = |count: usize| format!("select 1{}", ",1".repeat(count));
    assert!(Tree::parse(&list(4000)).is_some());
    assert!(Tree::parse(&list(5000)).is_none());
    let long = |bytes: usize| format!("select '{}'", "x".repeat(bytes));
    assert!(Tree::parse(&long(60_000)).is_some());
    assert!(Tree::parse(&long(70_000)).is_none());
    let negative = format!("insert into t values (-1){}", ",(-1)".repeat(1000));
    assert_eq!(stack(&negative), Some(Stack::Large));
    assert!(Tree::parse(&negative).is_some());
}
