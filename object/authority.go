package object

// Authority is a Service that is the Casdoor itself: what else the clients of a Casdoor ask for, where no other one
// answers them.
type Authority struct {
	*Service
	store *Store
}

// NewAuthority returns the use cases on store.
func NewAuthority(store *Store, cfg ServiceConfig) (*Authority, error) {
	service, err := NewService(store, cfg)
	if err != nil {
		return nil, err
	}
	return &Authority{service, store}, nil
}
