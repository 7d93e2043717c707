package report

// events prints the list of events: number, time, sentence, where the entry stands.
func (p *sheet) events(list events) {
	p.y += 1
	p.keep(2*lineOf(8) + p.height(list[0])) // the head is not left alone
	p.eventsHead()
	for _, v := range list {
		p.event(v)
	}
	p.y++
}

// The columns of the list, in millimetres.
const (
	columnTime = 7.0
	columnWhat = 46.0
	columnRef  = 152.0
	eventGap   = 3.0
)

func (p *sheet) eventsHead() {
	y := p.y + lineOf(8)*0.75
	p.put(bold, 8, marginSide+columnTime, y, p.text(texts.Column))
	p.put(bold, 8, marginSide+columnWhat, y, p.text(texts.ColumnWhat))
	p.put(bold, 8, marginSide+columnRef, y, p.text(texts.ColumnRef))
	p.y += lineOf(8)
	p.rule(0.3)
}

func (p *sheet) rule(width float64) {
	p.f.SetDrawColor(0x55, 0x55, 0x55)
	p.f.SetLineWidth(width)
	p.f.Line(marginSide, p.y+0.4, paperWidth-marginSide, p.y+0.4)
	p.y += 1.2
}

// eventWidth is that of what an event says.
const eventWidth = columnRef - columnWhat - eventGap

// height gives the room that an event needs, no more than a page has beside a table's
// head.
func (p *sheet) height(v event) float64 {
	h := float64(len(p.lines(sans, 9, v.sentence, eventWidth))) * lineOf(9)
	for _, n := range v.notes {
		h += float64(len(p.lines(sans, 7.5, n, eventWidth))) * lineOf(7.5)
	}
	if h > paperHeight-marginBottom-marginTop-3*lineOf(8) {
		return whenHeight // it goes on in the next page
	}
	return max(h, whenHeight)
}

// event prints one; what is longer than the page goes on in the next, alone.
func (p *sheet) event(v event) {
	p.keep(p.height(v))
	y, page := p.y, p.f.PageNo()
	if v.number > 0 {
		p.put(bold, 9, marginSide, y+lineOf(9)*0.75, number(v.number))
	}
	p.when(v, y)
	p.reference(v, y)
	p.flow(sans, 9, v.sentence, columnWhat, eventWidth)
	p.ink(grey)
	for _, n := range v.notes {
		p.flow(sans, 7.5, n, columnWhat, eventWidth)
	}
	p.ink(black)
	if p.f.PageNo() == page {
		p.y = max(p.y, y+whenHeight)
	}
	p.rule(0.1)
}

// whenHeight is the height of a time: date and time, distance from UTC, UTC.
var whenHeight = lineOf(9) + 2*lineOf(8)

func (p *sheet) when(v event, y float64) {
	y += lineOf(9) * 0.75
	for _, line := range p.lines(sans, 8, v.local, columnWhat-columnTime-eventGap) {
		p.put(sans, 8, marginSide+columnTime, y, line)
		y += lineOf(8)
	}
	p.ink(grey)
	p.put(sans, 7, marginSide+columnTime, y, v.utc)
	p.ink(black)
}

// reference says where in the annex the entry stands, and leads there.
func (p *sheet) reference(v event, y float64) {
	p.put(sans, 8, marginSide+columnRef, y+lineOf(9)*0.75, p.entryRef(v.entry))
	where := p.text(texts.FileRef)
	if p.annexed(v.entry) {
		where = p.text(texts.PageRef, "n", number(p.pages[v.entry]))
		p.f.Link(marginSide+columnRef, y, pictureWidth-columnRef, lineOf(9)+lineOf(8), p.link(v.entry))
	}
	p.ink(grey)
	p.put(sans, 7, marginSide+columnRef, y+lineOf(9)*0.75+lineOf(8), where)
	p.ink(black)
}

// picture draws a picture.
func (p *sheet) picture(b picture) {
	// A picture that is higher than a page goes on in the next, row by row.
	rows := int(b.height/stripHeight + 0.5)
	next := 0
	for row := range rows {
		p.keep(stripHeight)
		top := p.y - float64(row)*stripHeight
		for next < len(b.shapes) && b.shapes[next].y < float64(row+1)*stripHeight {
			p.shape(b.shapes[next], top)
			next++
		}
		p.y += stripHeight
	}
	p.f.SetDashPattern([]float64{}, 0)
}

func (p *sheet) shape(s shape, top float64) {
	x, y := marginSide+s.x, top+s.y
	p.f.SetDashPattern([]float64{}, 0)
	p.f.SetLineWidth(0.3)
	p.colour(true)
	fill := "DF"
	if s.style == empty {
		p.f.SetFillColor(0xff, 0xff, 0xff)
	}
	switch s.form {
	case aBox:
		p.f.Rect(x, y, s.w, s.h, fill)
	case aCircle:
		p.f.Circle(x, y, s.size, fill)
	case aLine:
		p.colour(false)
		p.f.SetDashPattern([]float64{1.2, 0.8}, 0)
		p.f.SetLineWidth(0.5)
		p.f.Line(x, y, x+s.w, y+s.h)
	case aText:
		size := s.size / 0.3528
		text := p.cut(sans, size, p.safe(sans, s.text), 40)
		p.put(sans, size, x-p.width(sans, size, text)/2, y, text)
	}
}
