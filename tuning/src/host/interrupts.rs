//! Which interrupts belong to the queues of a network card.

use super::{Host, QueueInterrupt};

/// Those that the card's bus device owns, or whose name holds the card's, and whose name ends in a queue's number. A card
/// has others besides (configuration, link), which stay where they are.
pub(super) fn of_queues(host: &Host, device: &str) -> Vec<QueueInterrupt> {
    let owned = owned_by(host, device);
    let table = host.read("/proc/interrupts").unwrap_or_default();
    let row = |line: &str| {
        let (number, rest) = line.split_once(':')?;
        let number: u32 = number.trim().parse().ok()?;
        let action = rest.split_ascii_whitespace().last()?;
        let mine = owned.contains(&number) || action.split(['-', '@', ':']).any(|part| part == device);
        let queue = queue_of(action)?;
        mine.then(|| QueueInterrupt { number, action: action.to_owned(), queue })
    };
    table.lines().filter_map(row).collect()
}

/// Message-signalled interrupts of the device behind the card. A virtio card has its own one floor below the bus.
fn owned_by(host: &Host, device: &str) -> Vec<u32> {
    let folder = format!("/sys/class/net/{device}/device");
    let on_bus = host.list(&format!("{folder}/msi_irqs"));
    let above = if on_bus.is_empty() { above(host, &folder) } else { on_bus };
    above.iter().filter_map(|name| name.parse().ok()).collect()
}

fn above(host: &Host, folder: &str) -> Vec<String> {
    // `device` is a link: what stands above it is found from where it leads, and not by a `..` behind its name.
    let Ok(real) = host.locate(folder).canonicalize() else { return Vec::new() };
    let Some(parent) = real.parent().map(|parent| parent.join("msi_irqs")) else { return Vec::new() };
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// The number that a queue's interrupt ends in: `eth0-TxRx-3`, `virtio2-input.0`, `mlx5_comp7@pci:0000:01:00.0`.
fn queue_of(action: &str) -> Option<usize> {
    let name = action.split_once('@').map_or(action, |(name, _)| name);
    let text = name.trim_end_matches(|character: char| character.is_ascii_digit());
    // A name without a separator is the device's own (`eth0`): an interrupt for everything.
    let is_queue = text.ends_with(['-', '.', ':']) || text.ends_with("comp");
    name[text.len()..].parse().ok().filter(|_| is_queue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_name_their_queues_each_in_its_way() {
        for (action, queue) in [
            ("eth0-TxRx-3", Some(3)),
            ("virtio2-input.0", Some(0)),
            ("mlx5_comp7@pci:0000:01:00.0", Some(7)),
            ("ens5-Tx-Rx-12", Some(12)),
            ("eth0", None),
            ("virtio2-config", None),
            ("mlx5_async@pci:0000:01:00.0", None),
        ] {
            assert_eq!(queue_of(action), queue, "{action}");
        }
    }
}
