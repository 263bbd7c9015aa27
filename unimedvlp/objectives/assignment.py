"""Linear assignment on the device: every object gets its own query, at the least total cost.

First a few rounds of an auction in which all unassigned objects bid at once (Bertsekas, 1988, with zero increment),
then shortest augmenting paths for the objects still without a query (Jonker and Volgenant, 1987). Both keep the same
invariant, that an assigned object's query is its cheapest at the current prices, so the result is optimal however few
rounds there are. The cost is that of scipy.optimize.linear_sum_assignment up to the rounding of float32.
"""

import jax
import jax.numpy as jnp

ROUNDS = 8
_FORBIDDEN = 1e9  # instead of a cost that is not finite: used only where nothing else is left


def assign(cost: jax.Array, object_mask: jax.Array) -> jax.Array:
    """The query `[B, K]` int32 of each object, for costs `[B, Q, K]` and object_mask bool `[B, K]`.

    Padded objects get the value Q, which is out of range: scatters with mode="drop" leave them out. No gradient flows.
    Costs that are not finite count as 1e9, so the function always ends.

    Raises:
      ValueError: if there are more object slots than queries.
    """
    _, queries, objects = cost.shape
    if objects > queries:
        raise ValueError(f"{objects} object slots need as many queries, the cost has {queries}: raise the queries")
    cost = jnp.asarray(jax.lax.stop_gradient(cost), jnp.float32)
    cost = jnp.where(jnp.isnan(cost), _FORBIDDEN, jnp.clip(cost, -_FORBIDDEN, _FORBIDDEN))
    return jax.vmap(_assign)(cost.swapaxes(1, 2), object_mask)


def _assign(cost: jax.Array, real: jax.Array) -> jax.Array:
    """cost [K, Q], real [K] -> query [K]. `owner` [Q] is the object of each query, K where it is free."""
    objects, queries = cost.shape
    owner, price = _auction(cost, real)
    owner = _augment(cost, real & ~_assigned(owner, objects), owner, price)
    return jnp.full(objects + 1, queries, jnp.int32).at[owner].set(jnp.arange(queries, dtype=jnp.int32))[:objects]


def _auction(cost: jax.Array, real: jax.Array) -> tuple[jax.Array, jax.Array]:
    """At most `ROUNDS` rounds: each unassigned object bids what its best query is worth more than its second best."""
    objects, queries = cost.shape

    def unfinished(state):
        todo, _, _, rounds = state
        return todo.any() & (rounds < ROUNDS)

    def bid(state):
        todo, owner, price, rounds = state
        reduced = cost - price
        lowest = reduced.min(axis=1)
        chosen = jnp.arange(queries) == _first(reduced == lowest[:, None], axis=1)[:, None]
        gap = jnp.where(chosen, jnp.inf, reduced).min(axis=1) - lowest
        gap = jnp.where(jnp.isfinite(gap), gap, 0)  # a single query has no second best
        offers = jnp.where(chosen & todo[:, None], gap[:, None], -1)
        best = offers.max(axis=0)
        sold = best >= 0
        owner = jnp.where(sold, _first(offers == best, axis=0), owner)
        return real & ~_assigned(owner, objects), owner, jnp.where(sold, price - best, price), rounds + 1

    start = (real, jnp.full(queries, objects, jnp.int32), jnp.zeros(queries), 0)
    _, owner, price, _ = jax.lax.while_loop(unfinished, bid, start)
    return owner, price


def _augment(cost: jax.Array, todo: jax.Array, owner: jax.Array, price: jax.Array) -> jax.Array:
    """Dijkstra's search from each unassigned object to the nearest free query; one query is settled per iteration.

    The searches of one problem follow each other in a single loop, so problems of a batch do not wait for each other.
    `at` is the query settled last, `queries` at the start of a search; `way` leads from a query to the one before it.
    """
    objects, queries = cost.shape
    query, root_query = jnp.arange(queries), queries
    order = jnp.argsort(~todo, stable=True).astype(jnp.int32)

    def settle(state):
        done, root, owner, price, at, length, distance, way, unsettled = state
        begins = at == root_query
        here = jnp.minimum(at, queries - 1)
        reduced = cost[jnp.where(begins, root, owner[here])] - price
        reached = reduced + jnp.where(begins, 0, length - reduced[here])
        shorter = (reached < distance) & unsettled
        distance, way = jnp.where(shorter, reached, distance), jnp.where(shorter, at, way)
        ahead = jnp.where(unsettled, distance, jnp.inf)
        length = ahead.min()
        nearest = _first(ahead == length, axis=0)
        found = owner[nearest] == objects

        def step_back(walk):
            at, owner, _ = walk
            before = way[at]
            giver = jnp.where(before == root_query, root, owner[jnp.minimum(before, queries - 1)])
            return before, jnp.where(query == at, giver, owner), before != root_query

        price = jnp.where(found & ~unsettled, price + distance - length, price)
        _, owner, _ = jax.lax.while_loop(lambda walk: walk[2], step_back, (nearest, owner, found))
        done += found
        root = jnp.where(found, order[jnp.minimum(done, objects - 1)], root)
        at = jnp.where(found, root_query, nearest)
        unsettled = found | (unsettled & (query != nearest))
        return done, root, owner, price, at, length, jnp.where(found, jnp.inf, distance), way, unsettled

    nowhere = (jnp.int32(root_query), jnp.float32(0), jnp.full(queries, jnp.inf), jnp.zeros(queries, jnp.int32))
    start = (jnp.int32(0), order[0], owner, price, *nowhere, jnp.ones(queries, bool))
    count = todo.sum()
    return jax.lax.while_loop(lambda state: state[0] < count, settle, start)[2]


def _assigned(owner: jax.Array, objects: int) -> jax.Array:
    """[K]: whether some query belongs to the object."""
    return (owner == jnp.arange(objects)[:, None]).any(axis=1)


def _first(hit: jax.Array, axis: int) -> jax.Array:
    """Index of the first true entry, the last index if there is none; several times faster than argmax on a CPU."""
    size = hit.shape[axis]
    index = jax.lax.broadcasted_iota(jnp.int32, hit.shape, axis)
    return jnp.where(hit, index, size - 1).min(axis=axis)
