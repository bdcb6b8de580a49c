-- The plugin's ghost text: accepted by word, by line and whole, cycled through, with the keys that it maps.
local Editor = require('editor')
local ghosts = require('ghosts')
local texts = require('texts')
local cases = {}

local function open(options)
  local editor = Editor.open('point.rs', texts.RUST, options, 'plugin_user.lua')
  editor:insert_behind('Point::new(self.x - other.x')
  editor:type(', ')
  return editor, editor:wait_for_ghost()
end

-- Presses a key that accepts a part, and waits until the buffer holds it and the rest stands at the caret.
local function take(editor, ghost, keys, part)
  local expected = ghosts.lines_with(editor, vim.tbl_extend('force', ghost, { text = part }))
  editor:keys(keys)
  editor:wait_for_lines(expected)
  return editor:wait('the rest', function()
    local rest = editor:wait_for_ghost()
    return rest.text == ghost.text:sub(#part + 1) and rest
  end)
end

function cases.plugin_accepts_by_word_and_whole()
  local editor, ghost = open({ setup = { settings = { candidates = 1 } } })
  local expected, before = ghosts.lines_with(editor, ghost), editor:counters()
  editor:watch_for_flicker()
  local word = ghost.text:match('^%s*[%w_]+') or ghost.text:match('^%s*[^%w_%s]+')
  assert(#word < #ghost.text, 'too short to be accepted by word: ' .. ghost.text)
  local answered = editor:answered()
  local rest = take(editor, ghost, '<M-Right>', word)
  editor:wait('an answer to the word', function()
    return editor:answered() > answered
  end)
  ghosts.check_on_screen(editor, rest)
  assert(editor:flickers() == 0, 'the rest was gone for a moment')
  local after = editor:counters()
  assert(after.inferencesStarted == before.inferencesStarted, vim.inspect(after))
  assert(after.typedThrough == before.typedThrough + 1, vim.inspect(after))
  editor:keys('<M-CR>')
  editor:wait_for_lines(expected)
  editor:quit()
end

-- Neovim itself leaves what was typed since the answer in the text, behind what it accepts.
function cases.plugin_accepts_what_was_typed_into()
  local editor, ghost = open({ setup = { settings = { candidates = 1 } } })
  assert(ghost.text:find('^%w%w'), 'too short to be typed into: ' .. ghost.text)
  local expected = ghosts.lines_with(editor, ghost)
  editor:keys(ghost.text:sub(1, 2) .. '<M-CR>')
  editor:wait_for_lines(expected)
  editor:quit()
end

function cases.plugin_in_python()
  local editor = Editor.open('words.py', texts.PYTHON, nil, 'plugin_user.lua')
  editor:insert_behind('            words')
  editor:type('.')
  local ghost = editor:wait_for_ghost()
  ghosts.check_on_screen(editor, ghost)
  local expected = ghosts.lines_with(editor, vim.tbl_extend('force', ghost, { text = ghost.first }))
  editor:keys('<M-C-Right>')
  editor:wait_for_lines(expected)
  editor:quit()
end

-- Several lines, faster than the server is asked about the rest, over characters of several bytes. The script says what
-- stands there.
function cases.plugin_accepts_by_line()
  local text = 'fn a() -> u32 {\n    \n}\n'
  local editor = Editor.open('a.rs', text, nil, 'plugin_user.lua')
  editor:keys('jA')
  local ghost = editor:wait_for_ghost()
  assert(ghost.text == 'größe.wert(1);\n    größe', ghost.text)
  local expected = ghosts.lines_with(editor, ghost)
  for _, part in ipairs({ 'größe', '.' }) do
    ghost = take(editor, ghost, '<M-Right>', part)
  end
  ghost = take(editor, ghost, '<M-C-Right>', 'wert(1);')
  editor:keys('<M-Right>')
  editor:wait_for_lines(expected)
  assert(not editor:ghost(), 'nothing is left')
  editor:keys('<Esc>u')
  editor:wait('the text after one undo', function()
    return editor:text() .. '\n' == text
  end)
  editor:quit()
end

-- In a file with CRLF the line breaks of the text are Neovim's own: no carriage return is shown or comes into a line.
function cases.plugin_accepts_in_a_file_with_crlf()
  local editor = Editor.open('a.rs', 'fn a() -> u32 {\r\n    \r\n}\r\n', nil, 'plugin_user.lua')
  editor:keys('jA')
  local ghost = editor:wait_for_ghost()
  assert(ghost.text == 'wert(1);\n    wert(2);\n    wert(3)', vim.inspect(ghost.text))
  ghost = take(editor, ghost, '<M-C-Right>', 'wert(1);')
  editor:assert_in_step()
  take(editor, ghost, '<M-C-Right>', '\n    wert(2);')
  editor:keys('<M-CR>')
  editor:wait_for_lines({ 'fn a() -> u32 {', '    wert(1);', '    wert(2);', '    wert(3)', '}' })
  editor:quit()
end

-- What stands behind the caret and is in the text too goes with its last part.
function cases.plugin_in_front_of_a_bracket()
  local editor = Editor.open('point.rs', (texts.RUST:gsub('other%.x\n', 'other.x)\n')), nil, 'plugin_user.lua')
  editor:insert_behind('Point::new(self.x - other.x')
  editor:type(', ')
  local ghost = editor:wait_for_ghost()
  local parts = 0
  repeat
    local lines = editor:lines()
    editor:keys('<M-Right>')
    editor:wait('a part', function()
      return not vim.deep_equal(lines, editor:lines())
    end)
    parts = parts + 1
  until parts == 50 or not editor:ghost()
  assert(parts > 1, ghost.text)
  local line = editor:lines()[ghost.row + 1]
  assert(not line:find('))', 1, true) and select(2, line:gsub('%(', '')) == select(2, line:gsub('%)', '')), line)
  editor:quit()
end

function cases.plugin_cycles()
  local editor, first = open({ setup = { settings = { candidates = 5 } } })
  local function press(keys, before)
    editor:keys(keys)
    return editor:wait('another ghost text', function()
      local now = editor:ghost()
      return now and now.hint ~= before.hint and now
    end)
  end
  local second = press('<M-]>', first)
  assert(second.text ~= first.text, second.text)
  local back = press('<M-[>', second)
  assert(back.text == first.text and back.hint:find('(1/', 1, true), vim.inspect(back))
  second = press('<M-]>', back)
  local expected = ghosts.lines_with(editor, second)
  editor:keys('<M-CR>')
  editor:wait_for_lines(expected)
  editor:quit()
end

-- What the model is too unsure of comes when a person asks, and goes when told to.
function cases.plugin_asks_and_dismisses()
  local setup = { settings = { minConfidence = 1 } }
  local editor = Editor.open('point.rs', texts.RUST, { setup = setup }, 'plugin_user.lua')
  editor:insert_behind('Point::new(self.x - other.x')
  local answered = editor:answered()
  editor:type(', ')
  editor:wait('an answer', function()
    return editor:answered() > answered
  end)
  assert(not editor:ghost(), 'shown although unsure')
  editor:keys('<M-Bslash>')
  editor:wait_for_ghost()
  editor:keys('<C-]>')
  editor:wait('its end', function()
    return not editor:ghost()
  end)
  editor:keys('<M-Bslash>')
  local expected = ghosts.lines_with(editor, editor:wait_for_ghost())
  editor:keys('<M-CR>')
  editor:wait_for_lines(expected)
  editor:quit()
end

function cases.plugin_says_why_nothing_comes()
  local setup = { settings = { languages = { rust = false } } }
  local editor = Editor.open('point.rs', texts.RUST, { setup = setup }, 'plugin_user.lua')
  editor:insert_behind('Point::new(self.x - other.x')
  editor:keys('<M-Bslash>')
  editor:wait('the reason', function()
    return editor:messages():find('Lacuna: no proposals in point.rs: the setting `languages` is off for `rust`', 1, true)
  end)
  editor:quit()
end

-- A key that is something else elsewhere stays that where there is nothing to accept; others are not mapped at all.
function cases.plugin_maps_keys_as_told()
  local keymap = { accept = '<Tab>', accept_word = false }
  local editor = Editor.open('point.rs', texts.RUST, { setup = { keymap = keymap } }, 'plugin_user.lua')
  editor:keys('Go<Tab>')
  editor:wait('the tab', function()
    local lines = editor:lines()
    return lines[#lines]:find('^%s+$')
  end)
  editor:keys('<Esc>u')
  assert(editor:lua("return vim.fn.maparg('<M-Right>', 'i')") == '', 'mapped although told not to')
  editor:insert_behind('Point::new(self.x - other.x')
  editor:type(', ')
  local ghost = editor:wait_for_ghost()
  local expected = ghosts.lines_with(editor, ghost)
  editor:keys('<Tab>')
  editor:wait_for_lines(expected)
  editor:quit()
end

return cases
