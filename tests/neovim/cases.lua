-- What must hold in a real Neovim. What the model writes is its own affair: the cases hold what is shown against what is
-- accepted, what is asked against what is counted.
local Editor = require('editor')
local cases = {}

local RUST = [[
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

local PYTHON = [[
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

-- The Rust file with ghost text on screen, behind a typed comma and space.
local function with_ghost(options)
  local editor = Editor.open('point.rs', RUST, options)
  editor:insert_behind('Point::new(self.x - other.x')
  editor:type(', ')
  return editor, editor:wait_for_ghost()
end

-- The lines of the buffer once the ghost text is in it.
local function lines_with(editor, ghost)
  local lines = editor:lines()
  local line = lines[ghost.row + 1]
  local new = vim.split(line:sub(1, ghost.column) .. ghost.text .. line:sub(ghost.column + 1), '\n')
  return vim.list_extend(vim.list_extend(vim.list_slice(lines, 1, ghost.row), new), vim.list_slice(lines, ghost.row + 2))
end

local function check_shown(editor, ghost)
  local line = editor:lines()[ghost.row + 1]
  assert(editor:screen():find(line .. ghost.first, 1, true), 'not on the screen:\n' .. editor:screen())
  editor:quit()
end

function cases.ghost_text_in_rust()
  check_shown(with_ghost())
end

function cases.ghost_text_in_python()
  local editor = Editor.open('words.py', PYTHON)
  editor:insert_behind('            words')
  editor:type('.')
  check_shown(editor, editor:wait_for_ghost())
end

function cases.accept()
  local editor, ghost = with_ghost()
  local expected = lines_with(editor, ghost)
  editor:keys('<Tab>')
  editor:wait('the accepted text', function()
    return vim.deep_equal(editor:lines(), expected)
  end)
  assert(editor:lua('return vim.fn.mode()') == 'i', 'accepting leaves Insert mode')
  editor:quit()
end

function cases.cycle()
  local editor, first = with_ghost({ candidates = 5 })
  local seen, ghost = { [first.text] = true }, first
  repeat
    local before = ghost
    editor:keys('<C-J>')
    ghost = editor:wait('the next ghost text', function()
      local now = editor:ghost()
      return now and now.hint ~= before.hint and now
    end)
    local back_at_first = ghost.hint:find('(1/', 1, true)
    assert(back_at_first or not seen[ghost.text], 'the same proposal twice: ' .. ghost.text)
    seen[ghost.text] = true
  until back_at_first
  assert(ghost.text == first.text and vim.tbl_count(seen) > 1, vim.inspect(seen))
  editor:keys('<C-J>')
  local second = editor:wait('the second proposal', function()
    local now = editor:ghost()
    return now and now.hint ~= ghost.hint and now
  end)
  local expected = lines_with(editor, second)
  editor:keys('<Tab>')
  editor:wait('the accepted text', function()
    return vim.deep_equal(editor:lines(), expected)
  end)
  editor:quit()
end

function cases.typing_through()
  local editor, ghost = with_ghost()
  local before = editor:counters()
  editor:watch_for_flicker()
  local typed = math.min(3, #ghost.text - 1)
  assert(typed > 0, 'too short to type through: ' .. ghost.text)
  for count = 1, typed do
    local answered = editor:answered()
    editor:type(ghost.text:sub(count, count))
    editor:wait('the answer for what was typed', function()
      return editor:answered() > answered
    end)
    local rest = editor:wait_for_ghost()
    assert(rest.text == ghost.text:sub(count + 1), ('%q does not go on with %q'):format(rest.text, ghost.text))
  end
  local after = editor:counters()
  assert(after.inferencesStarted == before.inferencesStarted, vim.inspect(after))
  assert(after.typedThrough == before.typedThrough + typed, vim.inspect(after))
  assert(editor:flickers() == 0, 'the ghost text was gone for a moment')
  local expected = lines_with(editor, editor:ghost())
  editor:keys('<Tab>')
  editor:wait('the accepted text', function()
    return vim.deep_equal(editor:lines(), expected)
  end)
  editor:quit()
end

function cases.departing()
  local editor, ghost = with_ghost()
  local before = editor:counters()
  editor:watch_for_flicker()
  editor:type(ghost.text:sub(1, 1) == 'q' and 'z' or 'q')
  editor:wait('a new inference', function()
    return editor:counters().inferencesStarted > before.inferencesStarted
  end)
  editor:keys('<Esc>')
  editor:wait('no ghost text outside Insert mode', function()
    return not editor:ghost() and editor:flickers() > 0
  end)
  editor:quit()
end

local MARKED = [[
/// The larger of two numbers.
fn max(a: i32, b: i32) -> i32 {
    if a > b { a } else { ‹› }
}
]]

local function check_progress(editor, title)
  editor:wait('the end of the progress', function()
    local kinds = editor:lua('return vim.tbl_map(function(it) return it.value.kind end, seen.progress)')
    return kinds[#kinds] == 'end'
  end)
  local progress = editor:lua('return seen.progress')
  assert(progress[1].value.kind == 'begin' and progress[1].value.title == title, vim.inspect(progress))
  for index = 2, #progress - 1 do
    local value, last = progress[index].value, progress[index - 1].value
    assert(value.kind == 'report' and value.percentage >= last.percentage, vim.inspect(progress))
  end
  assert(#progress > 2, vim.inspect(progress))
end

-- The text with the part between two literal texts cut out.
local function around(text, before, after)
  local _, first = text:find(before, 1, true)
  local last = text:find(after, first + 1, true)
  return text:sub(1, first) .. text:sub(last), text:sub(first + 1, last - 1)
end

function cases.code_action_fills_a_marker()
  local editor = Editor.open('max.rs', MARKED)
  editor:insert_behind('‹')
  editor:keys('<Esc>gFf')
  editor:wait('the filled marker', function()
    return not editor:text():find('‹', 1, true)
  end)
  local outside, filled = around(editor:text() .. '\n', 'else { ', ' }\n}')
  assert(outside == around(MARKED, 'else { ', ' }\n}'), editor:text())
  assert(vim.trim(filled) ~= '', editor:text())
  check_progress(editor, 'Lacuna: fill here')
  editor:assert_in_step()
  editor:keys('u')
  editor:wait('the marker after one undo', function()
    return editor:text() .. '\n' == MARKED
  end)
  editor:quit()
end

function cases.the_menu_of_code_actions()
  local editor = Editor.open('max.rs', MARKED)
  editor:insert_behind('‹')
  editor:keys('<Esc>gra')
  editor:wait('the menu', function()
    return editor:screen():find('Type number', 1, true)
  end)
  editor:keys('1<CR>')
  editor:wait('a change', function()
    return editor:text() .. '\n' ~= MARKED
  end)
  editor:quit()
end

function cases.refine()
  local editor = Editor.open('point.rs', RUST, { refineStrength = 1 })
  local before = editor:counters()
  editor:insert_behind('Self { x')
  editor:keys('<Esc>VgFr')
  check_progress(editor, 'Lacuna: refine selection')
  assert(editor:counters().inferencesFinished == before.inferencesFinished + 1, vim.inspect(editor:counters()))
  local outside = around(editor:text() .. '\n', 'f64) -> Self {', '\n    }\n\n    /// The sum')
  assert(outside == around(RUST, 'f64) -> Self {', '\n    }\n\n    /// The sum'), editor:text())
  editor:quit()
end

function cases.status()
  local editor = with_ghost()
  local function states()
    return editor:lua('return vim.tbl_map(function(it) return it.state end, seen.status)')
  end
  editor:wait('busy and ready again', function()
    local seen = states()
    return vim.list_contains(seen, 'busy') and seen[#seen] == 'ready'
  end)
  assert(states()[1] == 'starting', vim.inspect(states()))
  local last = editor:lua('return seen.status[#seen.status]')
  assert(vim.deep_equal(last.model, editor:command('lacuna.status').model) and last.message ~= '', vim.inspect(last))
  editor:quit()
end

function cases.toggle()
  local editor = Editor.open('point.rs', RUST)
  assert(editor:command('lacuna.toggle').enabled == false)
  local answered = editor:answered()
  editor:insert_behind('Point::new(self.x - other.x')
  editor:type(', ')
  editor:wait('the answer while it is off', function()
    return editor:answered() > answered
  end)
  assert(not editor:ghost() and editor:counters().inferencesStarted == 0, vim.inspect(editor:counters()))
  editor:wait('the word that it is off', function()
    return editor:lua('return seen.status[#seen.status].state') == 'disabled'
  end)
  assert(editor:command('lacuna.toggle').enabled == true)
  editor:type('s')
  editor:wait_for_ghost()
  editor:quit()
end

-- As it is when Neovim crashes: the server must not live on. Who records its traffic sees its end.
function cases.killed()
  local editor = with_ghost()
  vim.uv.kill(editor:lua('return vim.uv.os_getpid()'), 'sigkill')
  editor:wait_for_end()
end

return cases
