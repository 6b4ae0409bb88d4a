//go:build !race

package linkflow

// manyLinks is how many links one agent gets in tests.
const manyLinks = 3000
