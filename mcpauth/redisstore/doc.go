// Package redisstore keeps on Redis or Valkey what the replicas of one MCP server share: the DPoP proofs that
// were used (RFC 9449, Section 11.1), the counts of limits, and the tokens that were taken back. It needs Redis
// 7.0 or Valkey 7.2, or newer ones.
//
//	client := redis.NewClient(&redis.Options{Addr: "redis:6379", ContextTimeoutEnabled: true, DialerRetries: 1})
//	store, err := redisstore.New(redisstore.Options{Client: client})
//	err = store.Check(ctx) // is Redis set up for this?
//	revocations := mcpauth.NewRevocations(store, nil)
//	auth, err := mcpauth.New(mcpauth.Config{
//		DPoP:    mcpauth.DPoP{Replay: store},
//		Limits:  mcpauth.Limits{Store: store, Caller: mcpauth.Rate{Events: 100, Per: time.Minute}},
//		Revoked: revocations.Revoked, // and revocations.Revoke from anywhere
//		...
//	})
//
// Each question is one round trip of one command or script, within Options.Timeout, on connections that are open. All limits
// that one request is held against before its body is read are one question, and those of an operation another one.
// Nothing is kept in the process and nothing runs in the background but what go-redis runs.
//
// # When Redis is slow or gone
//
// Slow is gone: what has not answered within Options.Timeout (500 ms) is an error, whatever Redis did with it
// afterwards. When Redis is back, so is the Store, without anybody's help.
//
//	feature       what happens                                    the choice
//	used proofs   every request with a proof is answered 503      none: a proof is never accepted unrecorded
//	limits        every request that has a limit is answered 503  mcpauth.Limits.Open lets it pass uncounted
//	revocations   every request is answered 503                   Options.DangerouslySkipRevocations takes no
//	                                                              token for revoked meanwhile
//	Revoke        returns an error: nothing is certain            none: try again
//
// An answer that was lost leaves a proof used, so its client makes another one; an event of a limit taken; and a
// revocation made, perhaps. Options.OnError is told of every failure.
//
// Set DialerRetries to 1 in the client's options, and the error says that the connection was refused, at once. By
// itself go-redis tries five times, 100 ms apart, which takes all of Options.Timeout, and the error cannot say more
// than that Redis is slow or out of reach. go-redis also writes to standard error what it could not connect to.
//
// # What Redis must be like
//
// [Store.Check] looks at the first four.
//
//   - maxmemory-policy noeviction, the default of Redis and of few services. Every key has an expiry, so any other
//     policy, those that begin with volatile included, drops proofs that are not over (then good twice) and
//     revocations (then void) when memory is full. With noeviction a full Redis makes errors, as in the table.
//   - appendonly yes, for revocations. A Redis that restarts empty has forgotten all of them; proofs of the last
//     minutes are good once more, nonce or not, and counts are full. With appendfsync everysec, the
//     default, a crash of the machine takes the last second.
//   - The primary, not a replica. The Store refuses clients of a cluster that read from replicas.
//   - A cluster only through redis.NewClusterClient. redis.Ring is refused: it asks another server while one
//     is down, where every proof is new.
//   - Nobody else who writes under Options.Prefix. Whoever can write there can revoke, lift revocations and
//     limits, and make proofs new. Use TLS and an ACL user with no more than this:
//     ~mcpauth:* -@all +set +get +mget +pttl +time +eval +evalsha, besides +info for Check
//     and +cluster|slots for a cluster.
//
// # Failover and clusters
//
// Redis copies to replicas after it has answered, and Valkey and both clusters do the same. If the primary dies, the
// replica that takes over may lack the last moments: a proof of these can be used once more, and a revocation
// that was reported as made may be gone. Cut off from the rest, an old primary goes on answering those who
// still reach it, for up to cluster-node-timeout, or as long as Sentinel takes; min-replicas-to-write 1 has it
// refuse new proofs then. There is no way to rule this out with Redis. Where it matters, keep tokens short-lived,
// use DPoP.Nonces, and repeat a Revoke after a failover. The Store does not use WAIT.
//
// In a cluster, proofs are spread over all nodes, and counts by caller; with Limits.Client, whose counts have callers in
// common, by issuer only: the node that has an issuer's slot runs one script for every request. All revocations lie in one slot, since each
// request asks for up to five of them at once: the node that has it answers one MGET for every request.
//
// # Clocks
//
// Redis is told how long to remember something, never until when, so that it does not matter which time it
// believes it is. 10 s are added, for a clock of Redis that is put forward, or a replica with a clock
// ahead that takes over; more than that makes it forget too early. Limits go by the clock of Redis alone.
// Options.Now must be mcpauth.Config.Now: normally neither is set.
//
// # Keys and memory
//
// Keys hold hashes; no key, value or error has a token, a name or an address in it. In Redis 7.0, measured with
// 50,000 of each and the prefix "mcpauth:", expiry included:
//
//	mcpauth:p:HASH           153 bytes for each proof, for its window and 25 s: with 5 min, and 1,000 proofs in
//	                         a second, 50 MB, or twice that where clients' clocks are far ahead
//	mcpauth:l:{GROUP}HASH    153 bytes for each count, until it is full again
//	mcpauth:r:{revoked}HASH  185 bytes for each revocation, until its Until and 10 s
//
// A call takes 1.2 to 1.9 times as long as a PING. Tests that want a Redis can have one from package redistest.
package redisstore
