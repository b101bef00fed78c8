//! The tables, as columns. Every id is an index; every tree has its root at 0, and a parent before its children.

/// Index 0 of both trees: the empty stack.
pub const ROOT: u32 = 0;
/// A location without a mapping.
pub const NO_MAPPING: u32 = u32::MAX;

/// Distinct strings, one after another in one arena. String 0 is empty.
#[derive(Debug, Clone)]
pub struct Strings {
    text: String,
    /// `ends[i]` is where string `i` ends; it starts where string `i - 1` ends.
    ends: Vec<u32>,
}

impl Default for Strings {
    fn default() -> Self {
        Strings { text: String::new(), ends: vec![0] }
    }
}

impl Strings {
    pub fn get(&self, id: u32) -> &str {
        let i = id as usize;
        let start = if i == 0 { 0 } else { self.ends[i - 1] as usize };
        &self.text[start..self.ends[i] as usize]
    }

    /// The bytes of a string, for comparing without looking where its characters begin.
    #[inline]
    pub(crate) fn bytes_of(&self, id: u32) -> &[u8] {
        let i = id as usize;
        let start = if i == 0 { 0 } else { self.ends[i - 1] as usize };
        &self.text.as_bytes()[start..self.ends[i] as usize]
    }

    /// Adds a string without looking whether it is there already; returns its id. The caller bounds the arena below 4 GiB.
    pub fn push(&mut self, text: &str) -> u32 {
        self.text.push_str(text);
        self.ends.push(self.text.len() as u32);
        (self.ends.len() - 1) as u32
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of all strings together.
    pub fn text_len(&self) -> usize {
        self.text.len()
    }

    /// Never: string 0 is always there.
    pub fn is_empty(&self) -> bool {
        false
    }

    pub fn bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * 4
    }

    pub fn shrink_to_fit(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
    }
}

/// A function, as in `profile.proto`. Strings are ids in [`Strings`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Function {
    pub name: u32,
    pub system_name: u32,
    pub filename: u32,
    pub start_line: i64,
}

/// A mapped binary, as in `profile.proto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mapping {
    pub memory_start: u64,
    pub memory_limit: u64,
    pub file_offset: u64,
    pub filename: u32,
    pub build_id: u32,
    /// Bit 0 has_functions, 1 has_filenames, 2 has_line_numbers, 3 has_inline_frames.
    pub flags: u8,
}

/// A code address with its lines, innermost inlined call first (the order of `profile.proto`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Location {
    /// Index of the mapping, or [`NO_MAPPING`].
    pub mapping: u32,
    pub address: u64,
    pub is_folded: bool,
    /// Half-open range in [`Symbols::lines`].
    pub first_line: u32,
    pub end_line: u32,
}

/// One source line of a location.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Line {
    pub function: u32,
    pub line: i64,
}

/// Stacktraces as a tree of locations: a stack id is the node of its leaf. Columns of equal length; node 0 is the root.
#[derive(Debug, Clone)]
pub struct StackTree {
    pub parent: Vec<u32>,
    pub location: Vec<u32>,
    /// The node of [`FnTree`] that this stack folds into.
    pub fn_node: Vec<u32>,
}

impl Default for StackTree {
    fn default() -> Self {
        StackTree { parent: vec![ROOT], location: vec![u32::MAX], fn_node: vec![ROOT] }
    }
}

/// The stack tree folded by function name: what flame graphs draw. An inlined call is a node of its own.
/// A location without lines is the name `binary+0xaddress`.
#[derive(Debug, Clone)]
pub struct FnTree {
    pub parent: Vec<u32>,
    /// String ids.
    pub name: Vec<u32>,
}

impl Default for FnTree {
    fn default() -> Self {
        FnTree { parent: vec![ROOT], name: vec![0] }
    }
}

/// Everything that the stack ids of one dataset mean. A block may fill only the parts that a query needs:
/// flame graphs need `strings`, `stacks.fn_node` and `fn_tree`; pprof needs all but `fn_tree`.
#[derive(Debug, Clone, Default)]
pub struct Symbols {
    pub strings: Strings,
    pub functions: Vec<Function>,
    pub mappings: Vec<Mapping>,
    pub locations: Vec<Location>,
    pub lines: Vec<Line>,
    pub stacks: StackTree,
    pub fn_tree: FnTree,
}

impl Symbols {
    /// Heap bytes held, for budgets.
    pub fn bytes(&self) -> usize {
        self.strings.bytes()
            + self.functions.capacity() * size_of::<Function>()
            + self.mappings.capacity() * size_of::<Mapping>()
            + self.locations.capacity() * size_of::<Location>()
            + self.lines.capacity() * size_of::<Line>()
            + (self.stacks.parent.capacity() + self.stacks.location.capacity() + self.stacks.fn_node.capacity()) * 4
            + (self.fn_tree.parent.capacity() + self.fn_tree.name.capacity()) * 4
    }

    /// The lines of a location.
    pub fn lines_of(&self, location: u32) -> &[Line] {
        let l = &self.locations[location as usize];
        &self.lines[l.first_line as usize..l.end_line as usize]
    }
}
