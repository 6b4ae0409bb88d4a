// Package outcome remembers what became of links: by wish, which is who wants what,
// since an agent that tries again holds another ticket for the same wish. It says who
// waits for that, and when the vault may be asked.
//
// Everything about one user is under a lock of its own, and bounded; under the
// common lock a user is found and nothing else.
//
// # Where to read on
//
//	outcomes.go     what is known about a user's links
//	questions.go    what the vault is asked about them
//	waits.go        who waits: agents, and calls that are held
package outcome
