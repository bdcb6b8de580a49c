-- What a person has done to the code, through code actions and commands.
local Editor = require('editor')
local texts = require('texts')
local cases = {}

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

function cases.code_action_fills_a_marker()
  local editor = Editor.open('max.rs', texts.MARKED)
  editor:insert_behind('‹')
  editor:keys('<Esc>gFf')
  editor:wait('the filled marker', function()
    return not editor:text():find('‹', 1, true)
  end)
  local outside, filled = texts.around(editor:text() .. '\n', 'else { ', ' }\n}')
  assert(outside == texts.around(texts.MARKED, 'else { ', ' }\n}'), editor:text())
  assert(vim.trim(filled) ~= '', editor:text())
  check_progress(editor, 'Lacuna: fill here')
  editor:assert_in_step()
  editor:keys('u')
  editor:wait('the marker after one undo', function()
    return editor:text() .. '\n' == texts.MARKED
  end)
  editor:quit()
end

function cases.the_menu_of_code_actions()
  local editor = Editor.open('max.rs', texts.MARKED)
  editor:insert_behind('‹')
  editor:keys('<Esc>gra')
  editor:wait('the menu', function()
    return editor:screen():find('Type number', 1, true)
  end)
  editor:keys('1<CR>')
  editor:wait('a change', function()
    return editor:text() .. '\n' ~= texts.MARKED
  end)
  editor:quit()
end

function cases.refine()
  local editor = Editor.open('point.rs', texts.RUST, { refineStrength = 1 })
  local before = editor:counters()
  editor:insert_behind('Self { x')
  editor:keys('<Esc>VgFr')
  check_progress(editor, 'Lacuna: refine selection')
  assert(editor:counters().inferencesFinished == before.inferencesFinished + 1, vim.inspect(editor:counters()))
  local outside = texts.around(editor:text() .. '\n', 'f64) -> Self {', '\n    }\n\n    /// The sum')
  assert(outside == texts.around(texts.RUST, 'f64) -> Self {', '\n    }\n\n    /// The sum'), editor:text())
  editor:quit()
end

function cases.a_command_fills_a_marker()
  local editor = Editor.open('max.rs', texts.MARKED)
  local uri = editor:lua('return vim.uri_from_bufnr(0)')
  local column = vim.split(texts.MARKED, '\n')[3]:find('‹', 1, true) - 1
  local answer = editor:command('lacuna.fill', { { uri = uri, position = { line = 2, character = column } } })
  assert(answer.applied, vim.inspect(answer))
  local outside, filled = texts.around(editor:text() .. '\n', 'else { ', ' }\n}')
  assert(outside == texts.around(texts.MARKED, 'else { ', ' }\n}') and vim.trim(filled) ~= '', editor:text())
  editor:quit()
end

-- A diagnostic in code that does not parse. Whether the model knows better is not known beforehand; if not, it says so.
function cases.repair()
  local broken = (texts.RUST:gsub('self%.x %- other%.x\n', 'self.x - other.x, self.y - - - )\n'))
  local editor = Editor.open('point.rs', broken)
  editor:insert_behind('self.y - - -')
  editor:keys('<Esc>')
  editor:lua([[
    local row, column = unpack(vim.api.nvim_win_get_cursor(0))
    local at = { line = row - 1, character = column }
    local range = { start = at, ['end'] = { line = at.line, character = at.character + 1 } }
    local diagnostics = { { range = range, severity = 1, message = 'expected expression' } }
    vim.lsp.buf.code_action({ apply = true, context = { only = { 'quickfix' }, diagnostics = diagnostics } })
  ]])
  local no_candidate = editor:wait('the repair or the reason for none', function()
    local said = editor:lua("return vim.api.nvim_exec2('messages', { output = true }).output")
    return editor:text() .. '\n' ~= broken and 'repaired' or said:find('no candidate', 1, true) and 'none'
  end) == 'none'
  if no_candidate then
    assert(editor:text() .. '\n' == broken, editor:text())
    editor:keys('<Esc>:messages clear<CR>')
  else
    local outside, repaired = texts.around(editor:text() .. '\n', 'sub(self, other: Point) -> Point {', '    }\n}\n')
    assert(outside == texts.around(broken, 'sub(self, other: Point) -> Point {', '    }\n}\n'), editor:text())
    assert(not repaired:find('- - - )', 1, true), repaired)
    editor:assert_in_step()
  end
  editor:quit()
end

return cases
