// Package redistest starts real Redis servers for tests: one that can be stopped, started again, and made to
// hang, with or without a file in which it writes down what it knows, and a cluster of three. They listen on
// loopback alone, keep nothing beyond the test, and end with it, or with its process where that is killed.
//
// It needs redis-server 7.0 or newer in the path, of Debian's package redis-server for example, and a
// system with signals. A test without it fails rather than be skipped: nothing else shows that a store works.
package redistest
