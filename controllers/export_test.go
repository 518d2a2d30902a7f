package controllers

// Ask counts so many more who have the database asked what they name.
func (l *Limits) Ask(n int64) { l.asking.add(n) }

// Paths returns the paths that a server with these Deps has.
func Paths(deps *Deps) []string {
	var paths []string
	for _, r := range routes(deps) {
		paths = append(paths, r.path)
	}
	return paths
}
