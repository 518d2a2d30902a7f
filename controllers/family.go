package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/minidoor/minidoor/object"
)

// family is an object.Family whose rows are of any type.
type family interface {
	name() string
	get(ctx context.Context, c *object.Caller, owner, name string) (any, error)
	list(ctx context.Context, c *object.Caller, q object.ListQuery) (rows any, total int, err error)
	add(ctx context.Context, c *object.Caller, row json.RawMessage) error
	update(ctx context.Context, c *object.Caller, owner, name string, columns []string, row json.RawMessage) (bool, error)
	delete(ctx context.Context, c *object.Caller, owner, name string) (bool, error)
}

// of makes a family of an object.Family.
func of[T any](f *object.Family[T]) family { return familyOf[T]{f} }

type familyOf[T any] struct{ f *object.Family[T] }

func (f familyOf[T]) name() string { return f.f.Name() }

// get returns object.ErrNotFound where there is none; of a token it says so, as Casdoor does.
func (f familyOf[T]) get(ctx context.Context, c *object.Caller, owner, name string) (any, error) {
	row, err := f.f.Get(ctx, c, owner, name)
	if errors.Is(err, object.ErrNotFound) && f.name() == "token" {
		return nil, badRequest(fmt.Sprintf("The token: %.100s/%.100s does not exist", owner, name))
	}
	return row, err
}

func (f familyOf[T]) list(ctx context.Context, c *object.Caller, q object.ListQuery) (any, int, error) {
	page, err := f.f.List(ctx, c, q)
	if err != nil {
		return nil, 0, err
	}
	if page.Rows == nil {
		page.Rows = []*T{}
	}
	return page.Rows, page.Total, nil
}

func (f familyOf[T]) add(ctx context.Context, c *object.Caller, row json.RawMessage) error {
	return f.f.Add(ctx, c, row)
}

func (f familyOf[T]) update(
	ctx context.Context, c *object.Caller, owner, name string, columns []string, row json.RawMessage,
) (bool, error) {
	return f.f.Update(ctx, c, owner, name, columns, row)
}

func (f familyOf[T]) delete(ctx context.Context, c *object.Caller, owner, name string) (bool, error) {
	return f.f.Delete(ctx, c, owner, name)
}
