// Package process starts programs for tests, and ends them with the test.
package process
