//go:build race

package linkflow

// crowd is how many links one agent gets in tests. The race detector's own runtime
// fails, now and then, where thousands of goroutines wait.
const crowd = 100
