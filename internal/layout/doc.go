// Package layout holds no code: its tests keep the structure of the module as it is described, the
// direction of imports, what stands in the exported API, and that all of it is documented.
package layout
