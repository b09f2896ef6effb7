package mailboxes

import (
	"bytes"
	"io"

	"waxwing/internal/delivery"
)

// content is a message as its mailbox has it: the fields of this copy, then the body
// that it shares with others.
type content struct {
	header []byte
	body   delivery.Content
}

func (c *content) Size() int64 { return int64(len(c.header)) + c.body.Size() }

// Open returns a reader that holds no transaction between two reads.
func (c *content) Open() (io.ReadCloser, error) {
	r, err := c.body.Open()
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(c.header), r), r}, nil
}
