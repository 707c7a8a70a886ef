//! Chooses a node for a route: by role, by lag, by health, in turn.

use crate::policy::Role;
use crate::policy::RouteTarget;

/// One node, as `pick` sees it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// The node's id in the policy.
    pub node: usize,
    /// Its role.
    pub role: Role,
    /// Its share among others, from 1.
    pub weight: u32,
    /// Whether it may be asked now.
    pub usable: bool,
    /// Whether it is further behind than its `max_lag`, or nobody knows how far it is.
    pub is_behind: bool,
}

/// Where a statement goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Place {
    /// The node's id in the policy.
    pub node: usize,
    /// The branch that led there.
    pub branch: Option<usize>,
}

/// What choosing came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pick {
    /// This node.
    Node(Place),
    /// Every node that the route leads to is too far behind.
    Behind,
    /// The pool has no node for this route; the policy contradicts itself.
    None,
}

/// The nodes there are to choose from.
#[derive(Clone, Copy)]
pub struct Choice<'c> {
    /// Those of the session's pool.
    pub pool: &'c [Candidate],
    /// Those of a branch.
    pub branch: &'c dyn Fn(usize) -> Vec<Candidate>,
    /// Any, by its id.
    pub node: &'c dyn Fn(usize) -> Candidate,
}

/// What one route comes to.
enum Among {
    /// This node, which can be asked now.
    Usable(Place),
    /// This node, which is away.
    Away(Place),
    /// There are nodes, and all are too far behind.
    Behind,
    None,
}

/// Chooses a node for `target`, or for `otherwise` when no usable node answers to `target`. `turn` rotates among equals. A node
/// that is down is chosen only when the route leaves no other, so that the client waits for it instead of going elsewhere. One
/// that is too far behind is never chosen.
#[must_use]
pub fn pick(
    choice: Choice<'_>,
    target: RouteTarget,
    otherwise: Option<RouteTarget>,
    turn: usize,
) -> Pick {
    let first = among(choice, target, turn);
    let second = match first {
        Among::Usable(place) => return Pick::Node(place),
        _ => otherwise.map_or(Among::None, |otherwise| among(choice, otherwise, turn)),
    };
    match (first, second) {
        (_, Among::Usable(place) | Among::Away(place)) | (Among::Away(place), _) => {
            Pick::Node(place)
        }
        (Among::Behind, _) | (_, Among::Behind) => Pick::Behind,
        _ => Pick::None,
    }
}

fn among(choice: Choice<'_>, target: RouteTarget, turn: usize) -> Among {
    match target {
        RouteTarget::Node(node) => rotate(&[(choice.node)(node)], None, turn, |_| true),
        RouteTarget::Branch(branch) => {
            let nodes = (choice.branch)(branch);
            let primary = |role| role == Role::Primary;
            match rotate(&nodes, Some(branch), turn, primary) {
                Among::None => rotate(&nodes, Some(branch), turn, |_| true),
                found => found,
            }
        }
        RouteTarget::Standby => rotate(choice.pool, None, turn, |role| role == Role::Standby),
        RouteTarget::Primary | RouteTarget::Default => {
            rotate(choice.pool, None, turn, |role| role == Role::Primary)
        }
    }
}

fn rotate(
    nodes: &[Candidate],
    branch: Option<usize>,
    turn: usize,
    wanted: impl Fn(Role) -> bool,
) -> Among {
    let place = |candidate: &Candidate| Place {
        node: candidate.node,
        branch,
    };
    let mut fitting = nodes.iter().filter(|candidate| wanted(candidate.role));
    let near = || {
        let fitting = nodes.iter().filter(|candidate| wanted(candidate.role));
        fitting.filter(|candidate| !candidate.is_behind)
    };
    let usable = || near().filter(|candidate| candidate.usable);
    let share = |candidate: &Candidate| usize::try_from(candidate.weight).unwrap_or(1);
    let shares: usize = usable().map(share).sum();
    if shares != 0 {
        let mut left = turn % shares;
        for candidate in usable() {
            match left.checked_sub(share(candidate)) {
                Some(rest) => left = rest,
                None => return Among::Usable(place(candidate)),
            }
        }
    }
    match near().next() {
        Some(away) => Among::Away(place(away)),
        None if fitting.next().is_some() => Among::Behind,
        None => Among::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: Candidate = Candidate {
        node: 0,
        role: Role::Primary,
        weight: 1,
        usable: true,
        is_behind: false,
    };

    fn standby(node: usize, usable: bool, is_behind: bool) -> Candidate {
        Candidate {
            node,
            role: Role::Standby,
            weight: 1,
            usable,
            is_behind,
        }
    }

    fn picked(
        nodes: &[Candidate],
        target: RouteTarget,
        otherwise: Option<RouteTarget>,
        turn: usize,
    ) -> Pick {
        let choice = Choice {
            pool: nodes,
            branch: &|_| nodes[1..].to_vec(),
            node: &|node| nodes[node],
        };
        pick(choice, target, otherwise, turn)
    }

    fn to(
        nodes: &[Candidate],
        target: RouteTarget,
        otherwise: Option<RouteTarget>,
        turn: usize,
    ) -> Option<usize> {
        match picked(nodes, target, otherwise, turn) {
            Pick::Node(place) => Some(place.node),
            Pick::None | Pick::Behind => None,
        }
    }

    #[test]
    fn standbys_take_turns_and_a_dead_one_is_passed_over() {
        let all = [UP, standby(1, true, false), standby(2, true, false)];
        assert_eq!(to(&all, RouteTarget::Standby, None, 0), Some(1));
        assert_eq!(to(&all, RouteTarget::Standby, None, 1), Some(2));
        assert_eq!(to(&all, RouteTarget::Default, None, 1), Some(0));
        let one_down = [all[0], standby(1, false, false), all[2]];
        assert_eq!(to(&one_down, RouteTarget::Standby, None, 0), Some(2));
    }

    #[test]
    fn a_node_takes_as_many_turns_as_it_weighs() {
        let heavy = Candidate {
            weight: 3,
            ..standby(2, true, false)
        };
        let all = [UP, standby(1, true, false), heavy];
        let turns = (0..8).map(|turn| to(&all, RouteTarget::Standby, None, turn));
        let turns: Vec<usize> = turns.flatten().collect();
        assert_eq!(turns, [1, 2, 2, 2, 1, 2, 2, 2]);
    }

    #[test]
    fn otherwise_is_used_when_no_node_of_the_route_is_usable() {
        let down = [UP, standby(1, false, false)];
        let primary = Some(RouteTarget::Primary);
        assert_eq!(to(&down, RouteTarget::Standby, primary, 0), Some(0));
        let waits = to(&down, RouteTarget::Standby, None, 0);
        assert_eq!(waits, Some(1), "waits for it");
        let none = [UP];
        assert_eq!(to(&none, RouteTarget::Standby, primary, 0), Some(0));
        assert_eq!(to(&none, RouteTarget::Standby, None, 0), None);
    }

    #[test]
    fn what_is_too_far_behind_is_never_chosen_by_whatever_route() {
        let primary = Some(RouteTarget::Primary);
        let late = [UP, standby(1, true, true), standby(2, true, false)];
        for turn in 0..3 {
            assert_eq!(to(&late, RouteTarget::Standby, None, turn), Some(2));
        }
        let all_late = [UP, standby(1, true, true), standby(2, false, true)];
        for target in [
            RouteTarget::Standby,
            RouteTarget::Node(1),
            RouteTarget::Branch(0),
        ] {
            assert_eq!(
                picked(&all_late, target, None, 0),
                Pick::Behind,
                "{target:?}"
            );
            assert_eq!(to(&all_late, target, primary, 0), Some(0), "{target:?}");
        }
        // One that is near and away is waited for; one that is late and here is not taken instead.
        let away = [UP, standby(1, true, true), standby(2, false, false)];
        assert_eq!(to(&away, RouteTarget::Standby, None, 0), Some(2));
        let down = Candidate {
            usable: false,
            ..UP
        };
        let nothing = [down, standby(1, true, true)];
        assert_eq!(to(&nothing, RouteTarget::Standby, primary, 0), Some(0));
    }
}
