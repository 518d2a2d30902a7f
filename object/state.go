package object

import "encoding/json"

// State is what work that goes on over restarts remembers.
type State struct {
	Name        string `xorm:"varchar(100) notnull pk"`
	Value       string `xorm:"text"` // JSON
	UpdatedTime string `xorm:"varchar(100)"`
}

// loadState reads a State's value into v, or returns ErrNotFound. lock is dialect.forUpdate where nobody else is to
// change the State until the transaction ends, or else empty.
func (s *Store) loadState(q querier, name, lock string, v any) error {
	row, err := s.states.get(q, "WHERE name=?"+lock, name)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(row.Value), v)
}

// storeState makes or overwrites a State.
func (s *Store) storeState(tx *txn, name string, v any, stamp string) error {
	return s.insertState(tx, name, v, stamp, s.dialect.orUpdate([]string{"name"}, []string{"value", "updated_time"}))
}

// beginState makes a State. One that is there stays as it is.
func (s *Store) beginState(tx *txn, name string, v any, stamp string) error {
	return s.insertState(tx, name, v, stamp, s.dialect.orIgnore("name"))
}

func (s *Store) insertState(tx *txn, name string, v any, stamp, suffix string) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = s.states.insert(tx, &State{name, string(text), stamp}, suffix)
	return err
}

// dropState forgets a State.
func (s *Store) dropState(tx *txn, name string) error {
	_, err := tx.exec("DELETE FROM "+s.states.name+" WHERE name=?", name)
	return err
}
