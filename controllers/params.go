package controllers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/minidoor/minidoor/object"
)

// params are the parameters of a request, wherever they stood: in the query, or in a body of form fields or JSON, as
// Casdoor takes them. A parameter that is there twice is an error (RFC 6749 §3.2).
type params map[string]string

// maxParam is the longest value that a parameter may have, in bytes, unless longParams says otherwise.
const maxParam = 255

// longParams bounds the parameters that may be longer. A nickname and an avatar that are too long are not refused but
// ignored, where they are judged; what is encrypted or signed is taken to the letter.
func longParams(name string) int {
	switch name {
	case "refresh_token", "token", "access_token", "id_token_hint", "post_logout_redirect_uri":
		return 16 << 10
	case "username", "avatar", "nickName", "avatarUrl", "encryptedData", "rawData":
		return maxBody
	}
	return maxParam
}

// maxFields is how many parameters or fields a request may have. A user of Casdoor has 200; a body of 1 MB, of which
// each takes many times its size in memory, could have a hundred thousand.
const maxFields = 1000

func tooManyFields() *APIError {
	return badRequest(fmt.Sprintf("there are more than %d fields", maxFields))
}

// params reads and checks the request's parameters.
func (b *Base) params() (params, error) {
	body, err := b.body()
	if err != nil {
		return nil, err
	}
	p, err := b.queryParams()
	if err != nil || len(body) == 0 {
		return p, err
	}
	r := b.Ctx.Request
	kind, kindParams, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // a malformed one is none
	switch {
	case kind == "multipart/form-data":
		return p, p.addMultipart(body, kindParams["boundary"])
	case kind == "application/json" || bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")):
		return p, p.addJSON(body)
	case kind == "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, badRequest("the form is malformed")
		}
		return p, p.addAll(form)
	}
	return nil, badRequest("the body must be a form or JSON")
}

// queryParams reads and checks the parameters that are in the query.
func (b *Base) queryParams() (params, error) {
	query, err := url.ParseQuery(b.Ctx.Request.URL.RawQuery)
	if err != nil {
		return nil, badRequest("the query is malformed")
	}
	p := params{}
	return p, p.addAll(query)
}

// body reads the whole body.
func (b *Base) body() ([]byte, error) { return readBody(b.Ctx.Request.Body) }

func readBody(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(r)
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, tooLarge("the body is larger than 1 MB", err)
	}
	if e, refused := errors.AsType[*APIError](err); refused {
		return nil, e
	}
	if err != nil {
		return nil, &APIError{
			Status: http.StatusBadRequest, Code: object.InvalidRequest, Message: "the body ends too early", Err: err,
		}
	}
	return body, nil
}

func (p params) add(name, value string) error {
	if _, twice := p[name]; twice {
		return badRequest(fmt.Sprintf("parameter %.40q is there more than once", name))
	}
	if len(p) == maxFields {
		return tooManyFields()
	}
	if !utf8.ValidString(name) || !utf8.ValidString(value) {
		return badRequest(fmt.Sprintf("parameter %.40q is not UTF-8", name))
	}
	limit := longParams(name)
	if len(value) > limit {
		return badRequest(fmt.Sprintf("parameter %.40q is longer than %d bytes", name, limit))
	}
	if limit < maxBody && strings.ContainsFunc(value, unicode.IsControl) {
		return badRequest(fmt.Sprintf("parameter %.40q has control characters", name))
	}
	p[name] = value
	return nil
}

func (p params) addAll(values url.Values) error {
	for name, all := range values {
		for _, value := range all {
			if err := p.add(name, value); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p params) addMultipart(body []byte, boundary string) error {
	reader := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return badRequest("the form is malformed")
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return badRequest("the form is malformed")
		}
		if part.FileName() != "" {
			continue
		}
		if err := p.add(part.FormName(), string(value)); err != nil {
			return err
		}
	}
}

func (p params) addJSON(body []byte) error {
	fields, err := decodeObject(body)
	if err != nil {
		return err
	}
	for name, raw := range fields {
		value, err := plainText(name, raw)
		if err != nil {
			return badRequest(fmt.Sprintf("parameter %.40q must be a text", name))
		}
		if err := p.add(name, value); err != nil {
			return err
		}
	}
	return nil
}

// plainText takes a JSON text, and a number that a client sends in place of one; null is empty. A boolean passes as
// well: wx's userInfo, which is sent here as it is, has some that nobody reads. But it is no code, nickname or avatar.
func plainText(name string, raw json.RawMessage) (string, error) {
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		return "", err
	}
	switch v := value.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case float64:
		return string(raw), nil
	case bool:
		if !slices.Contains([]string{"code", "username", "avatar", "nickName", "avatarUrl"}, name) {
			return string(raw), nil
		}
	}
	return "", errors.New("not a text")
}

// decodeObject reads a JSON object, whose names must differ: a reader that takes the first of two and one that takes
// the last would see different requests.
func decodeObject(body []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(body) {
		return nil, badRequest("the body is not UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return nil, badRequest("the body must be a JSON object")
	}
	fields := map[string]json.RawMessage{}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, badRequest("the body is malformed JSON")
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, badRequest("the body is malformed JSON")
		}
		key, _ := name.(string)
		if _, twice := fields[key]; twice {
			return nil, badRequest(fmt.Sprintf("field %.40q is there more than once", key))
		}
		if len(fields) == maxFields {
			return nil, tooManyFields()
		}
		fields[key] = value
	}
	if _, err := decoder.Token(); err != nil {
		return nil, badRequest("the body is malformed JSON")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, badRequest("there is something behind the JSON object")
	}
	return fields, nil
}
