package controllers

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"time"
	"unicode/utf8"

	"github.com/minidoor/minidoor/object/picture"

	"github.com/minidoor/minidoor/object"
)

// Limits of a request with a picture. Phones in slow networks take their time.
const (
	maxFormRest   = 64 << 10                       // what the form puts around the picture
	maxUpload     = picture.MaxBytes + maxFormRest // bytes
	uploadTime    = 2 * time.Minute                // until it has arrived
	uploadTimeout = uploadTime + requestTimeout
	answerTime    = 10 * time.Second // until the answer has left
)

// maxNickname is in bytes: what may be stored is far shorter.
const maxNickname = 4096

// upload is the form of wx.uploadFile, with its file on disk.
type upload struct {
	form     *formBody
	file     *os.File
	size     int64
	nickname *object.Change // nil where there is none
	leave    func()         // gives its place free; nil: it has none
}

// formBody is the body of a form, of which so much may be read: what is around the file would be in memory, the header
// of a part as a whole.
type formBody struct {
	io.Reader

	left int64
}

// Read implements io.Reader. Its error is an *APIError where there is more.
func (f *formBody) Read(p []byte) (int, error) {
	if f.left <= 0 {
		return 0, badRequest("the form has more than 64 KB beside its file")
	}
	n, err := f.Reader.Read(p[:min(int64(len(p)), f.left)])
	f.left -= int64(n)
	return n, err
}

// close frees the file and the place of the upload. It can be called where there is none.
func (u *upload) close() {
	if u.leave != nil {
		defer u.leave()
	}
	if u.file != nil {
		_ = u.file.Close()
		_ = os.Remove(u.file.Name()) // where it could not be done before: see take
	}
}

// upload reads a form with exactly one file, in a field of any name. The caller closes it, whatever the error. Whoever
// may upload has longer than others: call it for them only. For user see Limits.upload.
func (b *Base) upload(user string) (*upload, error) {
	u := &upload{}
	var err error
	if u.leave, err = b.Deps.Limits.upload(b.Ctx.Request.Context(), user); err != nil {
		return u, err
	}
	// The writer under beego's is the server's. One without deadlines has none to lift.
	lift := http.NewResponseController(b.Ctx.ResponseWriter.ResponseWriter)
	_ = lift.SetReadDeadline(time.Now().Add(uploadTime))
	_ = lift.SetWriteDeadline(time.Now().Add(uploadTimeout + answerTime))
	r := b.Ctx.Request
	kind, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // a malformed one is none
	if kind != "multipart/form-data" {
		return u, badRequest("send the picture as multipart/form-data, as wx.uploadFile does")
	}
	u.form = &formBody{r.Body, maxFormRest}
	form := multipart.NewReader(u.form, params["boundary"])
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return u, formError(err)
		}
		if err := u.take(part); err != nil {
			return u, err
		}
	}
	if u.file == nil {
		return u, badRequest("the form has no file")
	}
	return u, nil
}

// take reads one part of the form. Fields that mean nothing here are passed over.
func (u *upload) take(part *multipart.Part) error {
	switch {
	case part.FileName() != "" && u.file != nil:
		return badRequest("the form has more than one file")
	case part.FileName() != "":
		return u.takeFile(part)
	case part.FormName() != nickname:
		return nil
	case u.nickname != nil:
		return badRequest("nickName is there more than once")
	}
	text, err := io.ReadAll(io.LimitReader(part, maxNickname+1))
	if err != nil {
		return formError(err)
	}
	if len(text) > maxNickname || !utf8.Valid(text) {
		return badRequest(fmt.Sprintf("nickName is longer than %d bytes, or not UTF-8", maxNickname))
	}
	if len(text) > 0 { // else the user has filled nothing in
		u.nickname = &object.Change{Field: "displayName", Value: string(text), Sent: nickname}
	}
	return nil
}

func (u *upload) takeFile(part io.Reader) error {
	file, err := os.CreateTemp("", "minidoor-upload-")
	if err != nil {
		return noRoom(err)
	}
	u.file = file
	_ = os.Remove(file.Name()) // now, so that a crash leaves nothing; a system that cannot waits for close
	rest := u.form.left
	u.form.left = maxUpload
	u.size, err = io.Copy(file, part)
	u.form.left = rest
	if _, ours := errors.AsType[*fs.PathError](err); ours {
		return noRoom(err)
	}
	if err != nil {
		return formError(err)
	}
	return nil
}

// noRoom is the answer when the folder for temporary files takes no more.
func noRoom(err error) *APIError {
	return unavailable("there is no room for the upload now, please try again later", defaultRetry, err)
}

// formError says why the form could not be read.
func formError(err error) *APIError {
	if e, ours := errors.AsType[*APIError](err); ours {
		return e
	}
	e := &APIError{Status: http.StatusBadRequest, Code: object.InvalidRequest, Message: "the form is malformed", Err: err}
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		e.Status, e.Message = http.StatusRequestEntityTooLarge, picture.ErrTooLarge.Error()
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		e.Status, e.Message = http.StatusRequestTimeout, "the upload took too long"
	} else if errors.Is(err, io.ErrUnexpectedEOF) {
		e.Message = "the body ends too early"
	}
	return e
}
