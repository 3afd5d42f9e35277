//! Names for addresses, and the folded text.
//!
//! Symbols are looked for by one pass over a table that is read from the disk meanwhile. Names are read of those alone that were
//! found: there are hundreds of thousands of others.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;

use object::elf::PF_X;
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{Endianness, Object, ObjectSymbol, ObjectSymbolTable, ReadCache, ReadRef};

use super::tally::{Place, Tally};

/// Bytes of the folded text. The stacks that were met most stand in it first; what does not fit is one line.
const FOLDED_BYTES_MAX: usize = 16 << 20;
/// Bytes of a name; those of generic futures may nest without end.
const NAME_BYTES_MAX: usize = 512;
/// How the kernel's names end.
const KERNEL_MARK: &str = flame::KERNEL_MARK;

/// The stacks as lines, those that were met most first.
pub(super) fn fold(tally: &Tally) -> String {
    let names = names(tally);
    let mut counts: HashMap<String, u64> = HashMap::new();
    for (thread, chain, count) in tally.iter() {
        let mut stack = thread.to_owned();
        for place in chain.places().iter().rev() {
            stack.push(';');
            stack.push_str(names.get(place).map_or("[unknown]", String::as_str));
        }
        *counts.entry(stack).or_default() += count;
    }
    let mut stacks: Vec<(String, u64)> = counts.into_iter().collect();
    stacks.sort_unstable_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    let (mut text, mut left_out) = (String::new(), 0);
    for (stack, count) in stacks {
        if text.len() + stack.len() > FOLDED_BYTES_MAX {
            left_out += count;
        } else {
            text.push_str(&format!("{stack} {count}\n"));
        }
    }
    if left_out > 0 {
        text.push_str(&format!("[other stacks] {left_out}\n"));
    }
    text
}

/// The name of every address that was met.
fn names(tally: &Tally) -> HashMap<Place, String> {
    let mut places: Vec<Place> = tally.iter().flat_map(|(_, chain, _)| chain.places()).copied().collect();
    places.sort_unstable();
    places.dedup();
    let addresses = |wanted: fn(&Place) -> Option<u64>| places.iter().filter_map(wanted).collect::<Vec<u64>>();
    let kernel = addresses(|place| if let Place::Kernel(address) = place { Some(*address) } else { None });
    let user = addresses(|place| if let Place::User(address) = place { Some(*address) } else { None });
    let mut names: HashMap<Place, String> = HashMap::with_capacity(places.len());
    for (address, name) in kernel.iter().zip(kernel_names(&kernel)) {
        names.insert(Place::Kernel(*address), name.unwrap_or_else(|| "[kernel]".to_owned()) + KERNEL_MARK);
    }
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for mapping in maps.lines().filter_map(Mapping::parse) {
        let within: Vec<u64> = user.iter().copied().filter(|address| mapping.has(*address)).collect();
        if within.is_empty() {
            continue;
        }
        for (address, name) in within.iter().zip(mapping.names(&within)) {
            names.insert(Place::User(*address), name.unwrap_or_else(|| mapping.unknown()));
        }
    }
    names
}

/// The names of kernel functions, if `kernel.kptr_restrict` lets them be seen.
fn kernel_names(addresses: &[u64]) -> Vec<Option<String>> {
    let mut nearest = Nearest::new(addresses);
    if let (false, Ok(file)) = (addresses.is_empty(), File::open("/proc/kallsyms")) {
        let mut lines = BufReader::new(file);
        let mut line = String::new();
        while matches!(
            {
                line.clear();
                lines.read_line(&mut line)
            },
            Ok(1..)
        ) {
            let mut fields = line.split_ascii_whitespace();
            let address = fields.next().and_then(|address| u64::from_str_radix(address, 16).ok());
            if let (Some(address @ 1..), Some("t" | "T" | "w" | "W"), Some(name)) =
                (address, fields.next(), fields.next())
            {
                nearest.offer(address, None, name.to_owned());
            }
        }
    }
    nearest.found().map(|name| name.map(readable)).collect()
}

/// Code of a file that is mapped here.
#[derive(Debug, PartialEq, Eq)]
struct Mapping<'a> {
    start: u64,
    end: u64,
    /// Where in the file it begins.
    offset: u64,
    path: &'a str,
}

impl<'a> Mapping<'a> {
    /// A line of /proc/self/maps, if it is one of code: `START-END r-xp OFFSET DEVICE INODE PATH`.
    fn parse(line: &'a str) -> Option<Mapping<'a>> {
        let mut fields = line.splitn(6, ' ');
        let (start, end) = fields.next()?.split_once('-')?;
        let is_code = fields.next()?.contains('x');
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        let mapping = Mapping {
            start: number(start)?,
            end: number(end)?,
            offset: number(fields.next()?)?,
            path: fields.nth(2)?.trim_start(),
        };
        is_code.then_some(mapping)
    }

    fn has(&self, address: u64) -> bool {
        (self.start..self.end).contains(&address)
    }

    /// What stands for code of it without a name: `[libc.so.6]`.
    fn unknown(&self) -> String {
        let name = self.path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("unknown");
        format!("[{}]", name.trim_matches(['[', ']']))
    }

    /// The names of sorted addresses in it, where the file has any.
    fn names(&self, addresses: &[u64]) -> Vec<Option<String>> {
        let opened = self.open().and_then(|file| {
            let cache = ReadCache::new(BufReader::new(file));
            symbols(&cache, self, addresses)
        });
        opened.unwrap_or_else(|| vec![None; addresses.len()])
    }

    /// The file. This program's own is taken as it runs, even when another one stands at its path by now.
    fn open(&self) -> Option<File> {
        let own = fs::read_link("/proc/self/exe").is_ok_and(|own| own == Path::new(self.path));
        let path = if own { "/proc/self/exe" } else { self.path };
        path.starts_with('/').then(|| File::open(path).ok())?
    }
}

/// Looks the addresses up in the symbol table of an ELF file.
fn symbols<'d, R: ReadRef<'d>>(file: R, mapping: &Mapping<'_>, addresses: &[u64]) -> Option<Vec<Option<String>>> {
    let elf = ElfFile64::<Endianness, R>::parse(file).ok()?;
    let endian = elf.endian();
    // Where the linker meant the mapped part to be, as against where it is.
    let segment = elf.elf_header().program_headers(endian, file).ok()?.iter().find(|segment| {
        let begins = segment.p_offset(endian);
        segment.p_flags(endian) & PF_X == PF_X
            && (begins & !0xfff..begins + segment.p_filesz(endian)).contains(&mapping.offset)
    })?;
    let linked = |address: u64| {
        (address - mapping.start + mapping.offset + segment.p_vaddr(endian)).wrapping_sub(segment.p_offset(endian))
    };
    let addresses: Vec<u64> = addresses.iter().copied().map(linked).collect();
    let mut nearest = Nearest::new(&addresses);
    let table = elf.symbol_table().or_else(|| elf.dynamic_symbol_table())?;
    for symbol in table.symbols() {
        if symbol.kind() == object::SymbolKind::Text && symbol.is_definition() {
            nearest.offer(symbol.address(), Some(symbol.size()), symbol.index());
        }
    }
    let name = |index| Some(readable(table.symbol_by_index(index).ok()?.name().ok()?));
    Some(nearest.found().map(|index| index.and_then(name)).collect())
}

/// For sorted addresses, the last symbol at or before each, by what `T` says of it.
struct Nearest<'a, T> {
    addresses: &'a [u64],
    /// For each address, the last symbol for which it is the first of `addresses` at or behind it.
    last: Vec<Option<Symbol<T>>>,
}

struct Symbol<T> {
    address: u64,
    /// Where it ends, if it is known.
    end: Option<u64>,
    what: T,
}

impl<'a, T: Clone> Nearest<'a, T> {
    fn new(addresses: &'a [u64]) -> Nearest<'a, T> {
        debug_assert!(addresses.is_sorted());
        Nearest { addresses, last: addresses.iter().map(|_| None).collect() }
    }

    fn offer(&mut self, address: u64, size: Option<u64>, what: T) {
        let index = self.addresses.partition_point(|wanted| *wanted < address);
        let Some(place) = self.last.get_mut(index) else { return };
        if place.as_ref().is_none_or(|last| last.address < address) {
            let end = size.filter(|size| *size > 0).map(|size| address.saturating_add(size));
            *place = Some(Symbol { address, end, what });
        }
    }

    /// What was found, for each address. A symbol that ends before the address is none for it.
    fn found(self) -> impl Iterator<Item = Option<T>> {
        let mut before: Option<Symbol<T>> = None;
        self.last.into_iter().zip(self.addresses).map(move |(last, address)| {
            before = last.or_else(|| before.take());
            let symbol = before.as_ref().filter(|symbol| symbol.end.is_none_or(|end| *address < end))?;
            Some(symbol.what.clone())
        })
    }
}

/// A name as its author wrote it, without what would end a frame.
fn readable(symbol: impl AsRef<str>) -> String {
    let mut name = format!("{:#}", rustc_demangle::demangle(symbol.as_ref())).replace(';', ":").replace('\n', " ");
    if name.len() > NAME_BYTES_MAX {
        let end = (0..=NAME_BYTES_MAX).rev().find(|index| name.is_char_boundary(*index)).unwrap_or_default();
        name.truncate(end);
        name.push('…');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::super::tally::Chain;
    use super::*;

    #[test]
    fn the_last_symbol_that_begins_before_an_address_and_does_not_end_before_it_is_its_own() {
        let addresses = [5, 10, 15, 25, 40];
        let mut nearest = Nearest::new(&addresses);
        for (address, size, name) in
            [(20, None, "twenty"), (10, Some(4), "ten"), (7, None, "seven"), (30, Some(5), "late")]
        {
            nearest.offer(address, size, name);
        }
        let names: Vec<Option<&str>> = nearest.found().collect();
        assert_eq!(names, [None, Some("ten"), None, Some("twenty"), None]);
    }

    #[test]
    fn mappings_of_code_are_found_among_the_others() {
        let code = "55d0-55f0 r-xp 00001000 fe:01 1234                       /opt/a b/ringway (deleted)";
        let mapping = Mapping::parse(code).unwrap();
        assert_eq!(mapping, Mapping { start: 0x55d0, end: 0x55f0, offset: 0x1000, path: "/opt/a b/ringway (deleted)" });
        assert_eq!(mapping.unknown(), "[ringway (deleted)]");
        assert_eq!(Mapping::parse("55d0-55f0 rw-p 00001000 fe:01 1234 /opt/ringway"), None);
        assert_eq!(Mapping::parse(""), None);
    }

    #[test]
    fn names_are_demangled_and_fit_into_a_line() {
        assert_eq!(readable("_ZN12ringway_ring4core4turn17h0123456789abcdefE"), "ringway_ring::core::turn");
        assert_eq!(readable("memcpy"), "memcpy");
        assert!(readable("é".repeat(600)).ends_with('…') && readable("a;b\nc") == "a:b c");
    }

    #[test]
    fn a_function_of_this_program_is_found_by_its_address() {
        #[inline(never)]
        fn landmark() -> u32 {
            std::hint::black_box(7)
        }
        assert_eq!(landmark(), 7);
        let function: fn() -> u32 = landmark;
        let address = function as usize as u64;
        let mut tally = Tally::new();
        // As the kernel writes it: user space's marker, then the instruction.
        tally.count(0, "main;thread", Chain::of(&[-512_i64 as u64, address + 1]));
        let folded = fold(&tally);
        assert!(folded.contains("landmark") && folded.ends_with(" 1\n"), "{folded}");
    }
}
