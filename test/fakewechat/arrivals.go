package fakewechat

import "sync"

// Arrivals counts the calls of a fake server by path, and holds the faults that wait for them. The zero Arrivals is
// ready; it is safe for concurrent use.
type Arrivals struct {
	mu     sync.Mutex
	calls  map[string]int
	faults map[string][]*injected
}

// injected is a fault for the next calls; less than zero means all to come.
type injected struct {
	fault Fault
	left  int
}

// Inject makes the next calls to path fail, times of them, or all to come if times is less than zero. Faults of several
// calls of Inject follow each other. A nil fault is a right answer in between.
func (a *Arrivals) Inject(path string, fault Fault, times int) {
	if times == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.faults == nil {
		a.faults = map[string][]*injected{}
	}
	a.faults[path] = append(a.faults[path], &injected{fault, times})
}

// Heal drops all faults of path that are still to come.
func (a *Arrivals) Heal(path string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.faults, path)
}

// Arrive counts a call and takes the fault that is due for it, or nil.
func (a *Arrivals) Arrive(path string) Fault {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.calls == nil {
		a.calls = map[string]int{}
	}
	a.calls[path]++
	queue := a.faults[path]
	if len(queue) == 0 {
		return nil
	}
	first := queue[0]
	if first.left > 0 {
		first.left--
		if first.left == 0 {
			a.faults[path] = queue[1:]
		}
	}
	return first.fault
}

// Calls returns how many calls to path have arrived, those that a fault took included.
func (a *Arrivals) Calls(path string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls[path]
}
