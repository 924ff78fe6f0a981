//! The hall by itself.

use std::time::Duration;

use super::*;

impl Hall {
    /// Every worker with its slots, and how many of them are taken.
    pub fn workers(&self) -> Vec<(String, usize, usize)> {
        let of = |(name, worker): (&String, &Worker)| (name.clone(), worker.slots, worker.busy);
        self.state().workers.iter().map(of).collect()
    }

    /// How many places are held.
    pub fn held(&self) -> usize {
        *self.state().held.borrow()
    }
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn any() -> Labels {
    Labels::new()
}

/// Whether the driver was told that there is room, once.
fn is_told(desk: &mut Desk) -> bool {
    matches!(desk.mail.try_recv(), Ok(Message::Room)) && desk.mail.try_recv().is_err()
}

#[test]
fn slots_in_use_are_places_held() {
    let hall = Hall::default();
    let desk = hall.drive("r");
    let _a = hall.join("a", 1, Some(labels(&[("zone", "a")])));
    let _b = hall.join("b", 2, Some(any()));
    let held: Vec<Place> = std::iter::from_fn(|| desk.take(&any(), 0)).collect();
    assert_eq!(held.len(), 3);
    drop(held);
    desk.settle();
    let place = desk.take(&labels(&[("zone", "a")]), 0).expect("worker a has it");
    assert!(place.worker == "a" && desk.take(&labels(&[("zone", "a")]), 0).is_none());
    assert!(desk.take(&labels(&[("zone", "b")]), 0).is_none());
    let rest: Vec<Place> = std::iter::from_fn(|| desk.take(&any(), 0)).collect();
    assert_eq!(rest.len(), 2);
}

#[test]
fn who_found_no_room_is_told_when_there_is_some() {
    let hall = Hall::default();
    let mut desk = hall.drive("r");
    let worker = hall.join("a", 1, None);
    let place = desk.take(&any(), 0).expect("room");
    assert!(desk.take(&any(), 0).is_none() && desk.mail.try_recv().is_err());
    drop(place);
    assert!(is_told(&mut desk));
    drop(worker);
    assert!(matches!(desk.mail.try_recv(), Ok(Message::WorkerLost { .. })));
    assert!(desk.take(&any(), 0).is_none());
    let _other = hall.join("b", 1, None);
    assert!(is_told(&mut desk));
    assert!(desk.take(&any(), 0).is_some_and(|place| place.worker == "b"), "what the lost worker gave is void");
}

#[test]
fn a_worker_that_comes_again_owes_nothing_of_before() {
    let hall = Hall::default();
    let mut desk = hall.drive("r");
    let before = hall.join("a", 1, None);
    let old = desk.take(&any(), 0).expect("room");
    let _again = hall.join("a", 1, None);
    let Ok(Message::WorkerLost { id, .. }) = desk.mail.try_recv() else { panic!("the old one is lost") };
    let new = desk.take(&any(), 0).expect("the new one has its slot");
    assert!(old.id == id && new.id != id && !desk.keeps(&old, &any(), 0));
    drop((old, before));
    assert!(desk.take(&any(), 0).is_none(), "what the old one gives back is not the new one's");
}

#[test]
fn a_slot_that_others_wait_for_is_not_used_again() {
    let hall = Hall::default();
    let (greedy, mut other) = (hall.drive("greedy"), hall.drive("other"));
    let _worker = hall.join("a", 1, None);
    let place = greedy.take(&any(), 0).expect("room");
    assert!(greedy.keeps(&place, &any(), 0), "as long as nobody waits");
    assert!(other.take(&any(), 0).is_none() && !greedy.keeps(&place, &any(), 0));
    assert!(greedy.keeps(&place, &any(), 1), "a higher priority goes first");
    drop(place);
    assert!(is_told(&mut other) && greedy.take(&any(), 9).is_none(), "it is handed on, whoever asks first");
    let place = other.take(&any(), 0).expect("the slot that was handed over");
    assert!(!other.keeps(&place, &any(), 0), "now the first one waits");
}

#[test]
fn a_slot_that_was_handed_over_and_not_taken_goes_on() {
    let hall = Hall::default();
    let (holds, first, mut second) = (hall.drive("holds"), hall.drive("first"), hall.drive("second"));
    let _worker = hall.join("a", 1, None);
    let place = holds.take(&any(), 0).expect("room");
    assert!(first.take(&any(), 0).is_none() && second.take(&any(), 0).is_none());
    drop(place);
    assert!(second.mail.try_recv().is_err(), "it is not its turn");
    drop(first);
    assert!(is_told(&mut second));
    second.settle();
    assert!(holds.take(&any(), 0).is_some(), "who needs it no more gives it back");
}

#[test]
fn a_claim_waits_for_a_worker_that_suits() {
    let hall = Hall::default();
    let (holds, mut picky, mut other) = (hall.drive("holds"), hall.drive("picky"), hall.drive("other"));
    let _worker = hall.join("a", 1, Some(any()));
    let place = holds.take(&any(), 0).expect("room");
    assert!(picky.take(&labels(&[("gpu", "yes")]), 100).is_none() && other.take(&any(), 0).is_none());
    drop(place);
    assert!(picky.mail.try_recv().is_err() && is_told(&mut other));
    let _gpu = hall.join("b", 1, Some(labels(&[("gpu", "yes")])));
    assert!(is_told(&mut picky) && picky.take(&labels(&[("gpu", "yes")]), 100).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_run_of_many_tasks_does_not_starve_another() {
    let hall = Hall::default();
    let (greedy, modest) = (hall.drive("greedy"), hall.drive("modest"));
    let _worker = hall.join("a", 1, None);
    let desks = [(&greedy, 5), (&modest, 0)];
    let (mut holder, mut place) = (0, greedy.take(&any(), 5).expect("room"));
    let mut served = [0, 0];
    for _ in 0..300 {
        let waiting = 1 - holder;
        assert!(desks[waiting].0.take(&any(), desks[waiting].1).is_none());
        tokio::time::advance(Duration::from_secs(1)).await;
        if !desks[holder].0.keeps(&place, &any(), desks[holder].1) {
            drop(place);
            holder = waiting;
            place = desks[holder].0.take(&any(), desks[holder].1).expect("handed over");
        }
        served[holder] += 1;
    }
    assert!(served[0] > 200 && served[1] >= 5, "{served:?}");
}
