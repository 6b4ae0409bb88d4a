//go:build !race

package linkflow

// crowd is how many links one agent gets in tests.
const crowd = 3000
