-- Code with something missing, and what is done with text.
local texts = {}

texts.RUST = [[
/// A point in the plane.
pub struct Point {
    x: f64,
    y: f64,
}

impl Point {
    /// A point from its coordinates.
    pub fn new(x: f64, y: f64) -> Self {
        Self { x, y }
    }

    /// The sum of two points.
    pub fn add(self, other: Point) -> Point {
        Point::new(self.x + other.x, self.y + other.y)
    }

    /// The difference of two points.
    pub fn sub(self, other: Point) -> Point {
        Point::new(self.x - other.x
    }
}
]]

texts.PYTHON = [[
def read_numbers(path):
    numbers = []
    with open(path) as file:
        for line in file:
            numbers.append(int(line))
    return numbers


def read_words(path):
    words = []
    with open(path) as file:
        for line in file:
            words
    return words
]]

texts.MARKED = [[
/// The larger of two numbers.
fn max(a: i32, b: i32) -> i32 {
    if a > b { a } else { ‹› }
}
]]

-- The text with the part between two literal texts cut out.
function texts.around(text, before, after)
  local _, first = text:find(before, 1, true)
  local last = text:find(after, first + 1, true)
  return text:sub(1, first) .. text:sub(last), text:sub(first + 1, last - 1)
end

return texts
