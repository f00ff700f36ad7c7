// Package docs holds no code: its tests keep what README.md and the pages under docs say true. Every snippet of Go is
// type-checked, every policy in JSON loads, every link leads somewhere, every test that is named exists, and the table of
// refusals and the numbers in docs/security.md follow from the source. The table of identity providers follows from their
// presets, each of which has a page, and the tests that those pages show are run.
//
// # Snippets
//
// A block that begins with a package clause is a file. Any other block is a fragment: declarations stand as they are,
// statements are put into a function, and the packages that it names are imported. What else it names is declared in
// an HTML comment directly above, which no reader of the page sees:
//
//	<!-- go
//	var auth *mcpauth.Middleware
//	-->
//
// A line of three dots in the comment stands for the block. What follows it comes after the block, so that a page may
// show the beginning of a function.
package docs
