//! Huffman's code of HPACK. RFC 7541 §5.2, Appendix B
//!
//! The code is canonical: codes of one length follow each other by symbol, and those of the next length follow them. So the lengths say
//! it all, and the automaton that decodes four bits at a step is made of them when this is compiled.

/// The length of each symbol's code; the last is the end of the string (EOS), which no string may contain. RFC 7541 Appendix B
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12,
    10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6,
    5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22,
    22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20,
    22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28,
    27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28,
    27, 27, 27, 27, 27, 26, 30,
];

const EOS: u16 = 256;
const LENGTH_MAX: u8 = 30;
/// Inner nodes of the code's tree: one fewer than its leaves.
const NODES: usize = 256;

/// What four bits do at a node.
#[derive(Clone, Copy)]
struct Step {
    node: u8,
    /// The symbol that they completed; no code is shorter than five bits, so that they complete one at most.
    symbol: Option<u8>,
    /// Whether they ran into the code of EOS.
    is_end: bool,
}

static STEPS: [[Step; 16]; NODES] = steps();
/// Whether a string may end at the node: after fewer than eight bits of EOS's code, all ones. RFC 7541 §5.2
static MAY_END: [bool; NODES] = may_end();

/// Appends what `input` stands for; `None` if that is nothing.
pub(super) fn decode(input: &[u8], output: &mut Vec<u8>) -> Option<()> {
    let mut node = 0;
    for byte in input {
        for nibble in [byte >> 4, byte & 0xf] {
            let step = STEPS[usize::from(node)][usize::from(nibble)];
            if step.is_end {
                return None;
            }
            output.extend(step.symbol);
            node = step.node;
        }
    }
    MAY_END[usize::from(node)].then_some(())
}

/// A child that is a leaf has the symbol and this bit.
const LEAF: u16 = 0x8000;

/// The tree, node by node; node 0 is its root.
const fn tree() -> [[u16; 2]; NODES] {
    let mut nodes = [[0; 2]; NODES];
    let (mut count, mut code, mut length) = (1, 0_u32, 0);
    while length < LENGTH_MAX {
        length += 1;
        code <<= 1;
        let mut symbol = 0;
        while symbol <= EOS {
            if LENGTHS[symbol as usize] == length {
                let mut node = 0;
                let mut bit = length;
                while bit > 1 {
                    bit -= 1;
                    let side = (code >> bit & 1) as usize;
                    if nodes[node][side] == 0 {
                        nodes[node][side] = count;
                        count += 1;
                    }
                    node = nodes[node][side] as usize;
                }
                nodes[node][(code & 1) as usize] = LEAF | symbol;
                code += 1;
            }
            symbol += 1;
        }
    }
    assert!(count as usize == NODES, "a full tree");
    nodes
}

const fn steps() -> [[Step; 16]; NODES] {
    let tree = tree();
    let mut steps = [[Step { node: 0, symbol: None, is_end: false }; 16]; NODES];
    let mut from = 0;
    while from < NODES {
        let mut nibble = 0;
        while nibble < 16 {
            let step = &mut steps[from][nibble];
            let (mut node, mut bit) = (from, 4);
            while bit > 0 {
                bit -= 1;
                let child = tree[node][nibble >> bit & 1];
                if child == LEAF | EOS {
                    step.is_end = true;
                    node = 0;
                } else if child & LEAF != 0 {
                    step.symbol = Some((child & 0xff) as u8);
                    node = 0;
                } else {
                    node = child as usize;
                }
            }
            step.node = node as u8;
            nibble += 1;
        }
        from += 1;
    }
    steps
}

const fn may_end() -> [bool; NODES] {
    let tree = tree();
    let mut may_end = [false; NODES];
    let (mut node, mut ones) = (0, 0);
    while ones < 8 {
        may_end[node] = true;
        node = tree[node][1] as usize;
        ones += 1;
    }
    may_end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(input: &[u8]) -> Option<Vec<u8>> {
        let mut output = Vec::new();
        decode(input, &mut output).map(|()| output)
    }

    #[test]
    fn strings_of_the_specification() {
        // RFC 7541 Appendix C.4.1, C.4.3, C.6.1
        for (input, text) in [
            (&[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff][..], "www.example.com"),
            (&[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf], "custom-value"),
            (&[0x64, 0x02], "302"),
            (&[0xae, 0xc3, 0x77, 0x1a, 0x4b], "private"),
            (&[], ""),
        ] {
            assert_eq!(decoded(input).as_deref(), Some(text.as_bytes()));
        }
    }

    #[test]
    fn the_end_is_at_most_seven_ones() {
        assert_eq!(decoded(&[0x1f]), Some(b"a".to_vec()), "00011 and three ones");
        assert_eq!(decoded(&[0x18]), None, "zeros at the end");
        assert_eq!(decoded(&[0x64, 0x02, 0xff]), None, "eight ones too many");
        assert_eq!(decoded(&[0xff; 4]), None, "EOS itself");
    }
}
