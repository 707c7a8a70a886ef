//! Chooses a node for a route: by role, by health, in turn.

use crate::policy::Role;
use crate::policy::RouteTarget;

/// One node of a pool, as `pick` sees it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// The node's id in the policy.
    pub node: usize,
    /// Its role.
    pub role: Role,
    /// Whether it may be asked now.
    pub usable: bool,
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
    /// The pool has no node for this route; the policy contradicts itself.
    None,
}

/// Chooses among the nodes of a pool (`nodes`) and of a branch (`branch_nodes`) for `target`, or for `otherwise` when no
/// usable node answers to `target`. `turn` rotates among equals. A node that is down is chosen only when the route
/// leaves no other, so that the client waits for it instead of going elsewhere.
pub fn pick<'a>(
    nodes: &[Candidate],
    branch_nodes: &dyn Fn(usize) -> &'a [Candidate],
    target: RouteTarget,
    otherwise: Option<RouteTarget>,
    turn: usize,
) -> Pick {
    let first = among(nodes, branch_nodes, target, turn);
    match (first, otherwise) {
        (Some((place, true)), _) | (Some((place, false)), None) => Pick::Node(place),
        (down, Some(otherwise)) => among(nodes, branch_nodes, otherwise, turn)
            .or(down)
            .map_or(Pick::None, |(place, _)| Pick::Node(place)),
        (None, None) => Pick::None,
    }
}

/// The node whose turn it is, and whether it is usable.
fn among<'a>(
    nodes: &[Candidate],
    branch_nodes: &dyn Fn(usize) -> &'a [Candidate],
    target: RouteTarget,
    turn: usize,
) -> Option<(Place, bool)> {
    match target {
        RouteTarget::Node(node) => {
            let usable = nodes
                .iter()
                .find(|candidate| candidate.node == node)
                .is_none_or(|candidate| candidate.usable);
            Some((Place { node, branch: None }, usable))
        }
        RouteTarget::Branch(branch) => {
            let candidates = branch_nodes(branch);
            let found = rotate(candidates, turn, |role| role == Role::Primary)
                .or_else(|| rotate(candidates, turn, |_| true));
            found.map(|(node, usable)| {
                (
                    Place {
                        node,
                        branch: Some(branch),
                    },
                    usable,
                )
            })
        }
        RouteTarget::Standby => rotate(nodes, turn, |role| role == Role::Standby)
            .map(|(node, usable)| (Place { node, branch: None }, usable)),
        RouteTarget::Primary | RouteTarget::Default => {
            rotate(nodes, turn, |role| role == Role::Primary)
                .map(|(node, usable)| (Place { node, branch: None }, usable))
        }
    }
}

fn rotate(
    nodes: &[Candidate],
    turn: usize,
    wanted: impl Fn(Role) -> bool,
) -> Option<(usize, bool)> {
    let fitting = || nodes.iter().filter(|candidate| wanted(candidate.role));
    let usable = fitting().filter(|candidate| candidate.usable).count();
    if usable == 0 {
        return fitting().next().map(|candidate| (candidate.node, false));
    }
    fitting()
        .filter(|candidate| candidate.usable)
        .nth(turn % usable)
        .map(|candidate| (candidate.node, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(node: usize, role: Role, usable: bool) -> Candidate {
        Candidate { node, role, usable }
    }

    fn to(
        nodes: &[Candidate],
        target: RouteTarget,
        otherwise: Option<RouteTarget>,
        turn: usize,
    ) -> Option<usize> {
        match pick(nodes, &|_| &[], target, otherwise, turn) {
            Pick::Node(place) => Some(place.node),
            Pick::None => None,
        }
    }

    #[test]
    fn standbys_take_turns_and_a_dead_one_is_passed_over() {
        let all = [
            candidate(0, Role::Primary, true),
            candidate(1, Role::Standby, true),
            candidate(2, Role::Standby, true),
        ];
        assert_eq!(to(&all, RouteTarget::Standby, None, 0), Some(1));
        assert_eq!(to(&all, RouteTarget::Standby, None, 1), Some(2));
        assert_eq!(to(&all, RouteTarget::Default, None, 1), Some(0));
        let one_down = [all[0], candidate(1, Role::Standby, false), all[2]];
        assert_eq!(to(&one_down, RouteTarget::Standby, None, 0), Some(2));
    }

    #[test]
    fn otherwise_is_used_when_no_node_of_the_route_is_usable() {
        let down = [
            candidate(0, Role::Primary, true),
            candidate(1, Role::Standby, false),
        ];
        assert_eq!(
            to(&down, RouteTarget::Standby, Some(RouteTarget::Primary), 0),
            Some(0)
        );
        assert_eq!(
            to(&down, RouteTarget::Standby, None, 0),
            Some(1),
            "waits for it"
        );
        let none = [candidate(0, Role::Primary, true)];
        assert_eq!(
            to(&none, RouteTarget::Standby, Some(RouteTarget::Primary), 0),
            Some(0)
        );
        assert_eq!(to(&none, RouteTarget::Standby, None, 0), None);
    }
}
