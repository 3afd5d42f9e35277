//! What only the ethtool program reads and sets of a network card, one word each.
//!
//! Its text is the interface: Debian's 6.1 and its neighbours print it, and kernels keep the words.

use std::io;
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::Host;

/// A setting of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Item {
    /// Queues that receive and send.
    CombinedChannels,
    /// Descriptors of each receive ring.
    RxRing,
    /// Descriptors of each transmit ring.
    TxRing,
    /// Whether the card chooses by itself how long it gathers.
    AdaptiveRx,
    /// How long the card gathers before it interrupts.
    RxUsecs,
    /// Generic receive offload.
    Gro,
    /// Generic segmentation offload.
    Gso,
    /// Segmentation in the card.
    Tso,
}

/// What ethtool says of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The value in force.
    pub now: String,
    /// The largest value, where there is one.
    pub most: Option<u64>,
    /// Whether the card has it so and no other way.
    pub is_fixed: bool,
}

impl Item {
    /// The option that shows it.
    #[must_use]
    pub fn show(self) -> &'static str {
        match self {
            Self::CombinedChannels => "-l",
            Self::RxRing | Self::TxRing => "-g",
            Self::AdaptiveRx | Self::RxUsecs => "-c",
            Self::Gro | Self::Gso | Self::Tso => "-k",
        }
    }

    /// The option that sets it.
    #[must_use]
    pub fn set(self) -> &'static str {
        match self {
            Self::CombinedChannels => "-L",
            Self::RxRing | Self::TxRing => "-G",
            Self::AdaptiveRx | Self::RxUsecs => "-C",
            Self::Gro | Self::Gso | Self::Tso => "-K",
        }
    }

    /// The word behind the option that sets it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::CombinedChannels => "combined",
            Self::RxRing => "rx",
            Self::TxRing => "tx",
            Self::AdaptiveRx => "adaptive-rx",
            Self::RxUsecs => "rx-usecs",
            Self::Gro => "gro",
            Self::Gso => "gso",
            Self::Tso => "tso",
        }
    }

    /// The word in front of its value when it is shown.
    fn label(self) -> &'static str {
        match self {
            Self::CombinedChannels => "Combined",
            Self::RxRing => "RX",
            Self::TxRing => "TX",
            Self::AdaptiveRx => "Adaptive RX",
            Self::RxUsecs => "rx-usecs",
            Self::Gro => "generic-receive-offload",
            Self::Gso => "generic-segmentation-offload",
            Self::Tso => "tcp-segmentation-offload",
        }
    }

    /// Finds it in what ethtool printed. `None` where the card has no such thing.
    fn within(self, text: &str) -> Option<Shown> {
        let mut shown = Shown { now: String::new(), most: None, is_fixed: false };
        let mut among_maximums = false;
        for line in text.lines() {
            match line.trim() {
                "Pre-set maximums:" => among_maximums = true,
                "Current hardware settings:" => among_maximums = false,
                line => {
                    let Some((label, value)) = line.split_once(':') else { continue };
                    let mut words = value.split_ascii_whitespace();
                    let Some(value) = words.next().filter(|_| label == self.label()) else { continue };
                    if among_maximums {
                        shown.most = value.parse().ok();
                    } else if value != "n/a" {
                        value.clone_into(&mut shown.now);
                        shown.is_fixed = words.next() == Some("[fixed]");
                    }
                }
            }
        }
        (!shown.now.is_empty()).then_some(shown)
    }
}

impl Host {
    /// What ethtool says of `item`; `Ok(None)` where the card has no such thing.
    ///
    /// # Errors
    /// `NotFound` where there is no ethtool; what it complains about otherwise.
    pub fn ethtool_show(&self, device: &str, item: Item) -> io::Result<Option<Shown>> {
        match self.ethtool(&[item.show(), device]) {
            Ok(text) => Ok(item.within(&text)),
            // The card's driver knows nothing of it.
            Err(error) if error.to_string().contains("not supported") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets `item`.
    ///
    /// # Errors
    /// `NotFound` where there is no ethtool; what it complains about otherwise.
    pub fn ethtool_set(&self, device: &str, item: Item, value: &str) -> io::Result<()> {
        self.ethtool(&[item.set(), device, item.word(), value]).map(drop)
    }

    fn ethtool(&self, arguments: &[&str]) -> io::Result<String> {
        let program = self.program("ethtool").ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        // In the language that is parsed here.
        let output = Command::new(program).args(arguments).env("LC_ALL", "C").output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        Err(io::Error::other(complaint.split_ascii_whitespace().collect::<Vec<_>>().join(" ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ethtool_prints_is_understood() {
        let channels = "Channel parameters for eth0:\nPre-set maximums:\nRX:\t\tn/a\nTX:\t\tn/a\nOther:\t\tn/a\n\
                        Combined:\t8\nCurrent hardware settings:\nRX:\t\tn/a\nTX:\t\tn/a\nOther:\t\tn/a\nCombined:\t2\n";
        let shown = |now: &str, most, is_fixed| Some(Shown { now: now.to_owned(), most, is_fixed });
        assert_eq!(Item::CombinedChannels.within(channels), shown("2", Some(8), false));
        assert_eq!(Item::RxRing.within(channels), None);

        let coalescing = "Coalesce parameters for eth0:\nAdaptive RX: off  TX: off\nrx-usecs:\t3\nrx-frames:\tn/a\n";
        assert_eq!(Item::AdaptiveRx.within(coalescing), shown("off", None, false));
        assert_eq!(Item::RxUsecs.within(coalescing), shown("3", None, false));
        assert_eq!(Item::AdaptiveRx.within("Adaptive RX: n/a  TX: n/a\n"), None);

        let features = "Features for eth0:\ntcp-segmentation-offload: off\n\ttx-tcp-segmentation: off [fixed]\n\
                        generic-receive-offload: on\nrx-checksumming: on [fixed]\n";
        assert_eq!(Item::Tso.within(features), shown("off", None, false));
        assert_eq!(Item::Gro.within(features), shown("on", None, false));
        let fixed = "generic-receive-offload: on [fixed]\n";
        assert_eq!(Item::Gro.within(fixed), shown("on", None, true));
    }
}
