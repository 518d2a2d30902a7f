package controllers

// Paths returns the paths that a server with these Deps has.
func Paths(deps *Deps) []string {
	var paths []string
	for _, r := range routes(deps) {
		paths = append(paths, r.path)
	}
	return paths
}
