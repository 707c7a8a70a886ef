//! Every limit a guest runs under, in one value, and what fuel buys. Owns no enforcement; `meter` and the engines apply it.

use std::time::Duration;

/// Fuel of one Rhai operation. One unit is one interpreted wasm operator.
pub(crate) const FUEL_PER_OPERATION: u64 = 64;
/// Fuel of one node of a lowered script, before its bytes.
pub(crate) const FUEL_PER_NODE: u64 = 32;
/// Fuel of a host call, before its bytes.
pub(crate) const FUEL_PER_HOST_CALL: u64 = 32;
/// Bytes into or out of a host function that cost one fuel.
pub(crate) const BYTES_PER_FUEL: u64 = 8;
/// Fuel between two looks at the clock.
pub(crate) const FUEL_PER_SLICE: u64 = 50_000;

/// What one call of a guest may use. Every limit of both engines is set from here; none is left to an engine's default.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Fuel.
    pub fuel: u64,
    /// Linear memory of a module; live values of a script.
    pub memory_bytes_max: usize,
    /// Time, looked at between slices of fuel.
    pub deadline: Duration,
    /// What the guest is told: the frame and the large fields behind it.
    pub input_bytes_max: usize,
    /// What the guest answers.
    pub output_bytes_max: usize,
    /// A module's value stack.
    pub stack_bytes_max: usize,
    /// Nested calls, in modules.
    pub call_depth_max: usize,
    /// Nested calls, in scripts: each costs a few KiB of our own stack.
    pub script_call_depth_max: usize,
    /// Nested expressions in a script.
    pub script_expr_depth_max: usize,
    /// A module.
    pub module_bytes_max: usize,
    /// The text of a script.
    pub script_bytes_max: usize,
    /// Entries of a module's tables.
    pub table_entries_max: usize,
    /// Functions a script may define.
    pub script_functions_max: usize,
    /// Variables that may exist in a script at a time.
    pub script_variables_max: usize,
    /// One text in a script, and all texts within one of its arrays or maps.
    pub script_string_bytes_max: usize,
    /// Items of one array in a script, nested ones included.
    pub script_array_items_max: usize,
    /// Entries of one map in a script, nested ones included.
    pub script_map_items_max: usize,
    /// Calls of host functions a call.
    pub host_calls_max: u32,
    /// Log lines a call; more are dropped.
    pub log_lines_max: u32,
    /// Bytes of a log line; the rest is cut.
    pub log_line_bytes_max: usize,
    /// Instances kept for reuse.
    pub instances_kept_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: 2_000_000,
            memory_bytes_max: 2 << 20,
            deadline: Duration::from_millis(10),
            input_bytes_max: 256 << 10,
            output_bytes_max: 256 << 10,
            stack_bytes_max: 256 << 10,
            call_depth_max: 256,
            script_call_depth_max: 16,
            script_expr_depth_max: 32,
            module_bytes_max: 8 << 20,
            script_bytes_max: 64 << 10,
            table_entries_max: 10_000,
            script_functions_max: 64,
            script_variables_max: 128,
            script_string_bytes_max: 64 << 10,
            script_array_items_max: 4_096,
            script_map_items_max: 1_024,
            host_calls_max: 10_000,
            log_lines_max: 16,
            log_line_bytes_max: 1_024,
            instances_kept_max: 64,
        }
    }
}
