//go:build race

package linkflow

// manyLinks is how many links one agent gets in tests. The race detector's own runtime
// fails, now and then, where thousands of goroutines wait.
const manyLinks = 100
