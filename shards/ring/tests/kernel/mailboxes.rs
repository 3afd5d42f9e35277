//! Messages between threads: all of them, in order, and the end.

use std::sync::Arc;
use std::sync::mpsc;

use ringway_ring::{Receiver, ShardAddress, channel};

use crate::{SMALL, finish, shard, start_shard};

const MESSAGES: u64 = 100_000;

/// Receives the numbers from 0 on, and returns how many there were before the end.
async fn count(mut receiver: Receiver<u64>) -> u64 {
    let mut next = 0;
    while let Some(message) = receiver.recv().await {
        assert_eq!(message, next);
        next += 1;
    }
    next
}

#[test]
fn a_thread_that_is_no_shard_is_heard() {
    let received = shard(SMALL, || async {
        let (mut sender, receiver) = channel(64, &ShardAddress::current());
        let thread = std::thread::spawn(move || {
            for mut number in 0..MESSAGES {
                while let Err(back) = sender.send(number) {
                    number = back;
                    std::thread::yield_now();
                }
            }
        });
        let received = count(receiver).await;
        thread.join().expect("the sender ends well");
        received
    });
    assert_eq!(received, MESSAGES);
}

#[test]
fn another_shard_is_heard() {
    let (tell, address) = mpsc::channel();
    let receiving = start_shard(SMALL, &Arc::default(), move || async move {
        let (sender, receiver) = channel(64, &ShardAddress::current());
        tell.send(sender).expect("the other side waits");
        count(receiver).await
    });
    let mut sender = address.recv().expect("the receiver's mailbox");
    shard(SMALL, move || async move {
        for mut number in 0..MESSAGES {
            while let Err(back) = sender.send(number) {
                number = back;
                ringway_ring::yield_now().await;
            }
        }
    });
    assert_eq!(finish(receiving), MESSAGES);
}

#[test]
fn the_end_of_a_sender_is_noticed_however_soon_it_comes() {
    shard(SMALL, || async {
        for round in 0..3_000 {
            let (mut sender, receiver) = channel(4, &ShardAddress::current());
            let thread = std::thread::spawn(move || {
                for number in 0..round % 3 {
                    sender.send(number).expect("room");
                }
            });
            assert_eq!(count(receiver).await, round % 3);
            thread.join().expect("the sender ends well");
        }
    });
}

#[test]
fn a_mailbox_of_the_own_shard_works_as_well() {
    shard(SMALL, || async {
        let (mut sender, receiver) = channel(1_000, &ShardAddress::current());
        ringway_ring::spawn(async move {
            for number in 0..500 {
                sender.send(number).expect("room");
                ringway_ring::yield_now().await;
            }
        });
        assert_eq!(count(receiver).await, 500);
    });
}

#[test]
fn a_full_mailbox_gives_the_message_back() {
    shard(SMALL, || async {
        let (mut sender, mut receiver) = channel(1, &ShardAddress::current());
        assert_eq!((sender.send(1), sender.send(2)), (Ok(()), Err(2)));
        assert_eq!(receiver.recv().await, Some(1));
        assert_eq!(sender.send(3), Ok(()));
    });
}
