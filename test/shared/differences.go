package shared

import (
	"fmt"
	"maps"
)

// Differences maps the paths at which a client of Casdoor would stumble over our answer to what it would find.
func Differences(theirs, ours any) map[string]string { return differences("", theirs, ours) }

func differences(path string, theirs, ours any) map[string]string {
	found := map[string]string{}
	switch theirs := theirs.(type) {
	case nil: // whoever reads null expects anything
	case map[string]any:
		object, ok := ours.(map[string]any)
		if !ok {
			found[path] = fmt.Sprintf("an object there, %T here", ours)
		}
		for name, value := range theirs {
			inner, there := object[name]
			if ok && !there {
				found[path+"."+name] = "not there"
			} else if ok {
				maps.Copy(found, differences(path+"."+name, value, inner))
			}
		}
	case []any:
		list, ok := ours.([]any)
		if !ok {
			found[path] = fmt.Sprintf("a list there, %T here", ours)
		}
		if len(theirs) > 0 && len(list) > 0 {
			maps.Copy(found, differences(path+"[0]", theirs[0], list[0]))
		}
	default:
		if there, here := fmt.Sprintf("%T", theirs), fmt.Sprintf("%T", ours); there != here {
			found[path] = there + " there, " + here + " here"
		}
	}
	return found
}
