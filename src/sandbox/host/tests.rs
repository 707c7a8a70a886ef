//! The table's order, and what a log line may hold.

use super::*;

#[test]
fn the_table_is_in_the_order_of_the_enum() {
    for (index, row) in TABLE.iter().enumerate() {
        assert_eq!(row.function as usize, index);
        assert_eq!(HostFunction::by_import(row.import), Some(row.function));
        if let Some((module, name)) = row.script {
            assert_eq!(
                HostFunction::by_script_name(module, name),
                Some(row.function)
            );
        }
    }
    assert_eq!(
        HostFunction::by_script_name("log", "warn"),
        Some(HostFunction::Log)
    );
    assert_eq!(HostFunction::by_script_name("log", "shout"), None);
}

#[test]
fn log_lines_cannot_be_forged() {
    assert_eq!(printable(b"a\nb\x1b[31m\xff", 100), "a b [31m\u{fffd}");
    assert_eq!(printable(b"abc", 2), "ab");
}
